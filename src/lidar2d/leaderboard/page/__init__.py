"""The leaderboard as one page that opens from a disk: tables, plots, records and pictures."""

from lidar2d.leaderboard.page.write import write_page

__all__ = ["write_page"]
