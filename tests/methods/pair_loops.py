"""The slow twin of pairing, which the tests of several methods start from."""

from lidar2d.geometry import project


def slow_pairs(batch):
    """Point row, view row and pixel of every visible point, by loops."""
    found = []
    for view in range(len(batch.images)):
        pixels, depth = project(batch.points[:, :3], batch.intrinsics[[view]], batch.cam_from_lidar[[view]])
        for point in range(len(batch.points)):
            if batch.point_frame[point] != batch.view_frame[view]:
                continue
            u, v = pixels[0, point].tolist()
            if depth[0, point] > 1 and 0 <= u < 48 and 0 <= v < 32:
                found.append((point, view, u, v))
    return found
