"""Made-up nuScenes tables of the official size and schema: 850 scenes with all sweeps and annotations, no sensor file.

    python benchmarks/speed/nuscenes_tables.py FOLDER [--scenes 850]

writes FOLDER/v1.0-trainval, about 2.3 GB: 34,149 samples, 2.6 million sensor records, 1.2 million annotations.
"""

from __future__ import annotations

import argparse
import json
import math
import random
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from PIL import Image

SAMPLES, SCENES = 34_149, 850
CAMERAS = ("CAM_FRONT", "CAM_FRONT_RIGHT", "CAM_BACK_RIGHT", "CAM_BACK", "CAM_BACK_LEFT", "CAM_FRONT_LEFT")
RADARS = ("RADAR_FRONT", "RADAR_FRONT_LEFT", "RADAR_FRONT_RIGHT", "RADAR_BACK_LEFT", "RADAR_BACK_RIGHT")
RATES = {"LIDAR_TOP": 10, **dict.fromkeys(CAMERAS, 6), **dict.fromkeys(RADARS, 6.55)}  # records a sample
BOXES = 34.15  # annotations a sample
LIFE = 18  # samples that an object is seen for
CATEGORIES = [
    "human.pedestrian.adult",
    "human.pedestrian.child",
    "human.pedestrian.wheelchair",
    "human.pedestrian.stroller",
    "human.pedestrian.personal_mobility",
    "human.pedestrian.police_officer",
    "human.pedestrian.construction_worker",
    "animal",
    "vehicle.car",
    "vehicle.motorcycle",
    "vehicle.bicycle",
    "vehicle.bus.bendy",
    "vehicle.bus.rigid",
    "vehicle.truck",
    "vehicle.construction",
    "vehicle.emergency.ambulance",
    "vehicle.emergency.police",
    "vehicle.trailer",
    "movable_object.barrier",
    "movable_object.trafficcone",
    "movable_object.pushable_pullable",
    "movable_object.debris",
    "static_object.bicycle_rack",
]


class Table:
    """A JSON table as it is released: a list, indented by nothing, one value a line."""

    def __init__(self, path: Path) -> None:
        self.file: IO[str] = path.open("w")
        self.count = 0

    def __enter__(self) -> Self:
        self.file.write("[")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.file.write("\n]")
        self.file.close()

    def add(self, **record: Any) -> None:
        """Write one record."""
        self.file.write(("," if self.count else "") + "\n" + json.dumps(record, indent=0))
        self.count += 1


def token(kind: str, number: int) -> str:
    """Return 32 hexadecimal digits, as unordered as the official ones."""
    return f"{random.Random(f'{kind}/{number}').getrandbits(128):032x}"


def write(root: Path, scenes: int = SCENES, seed: int = 0) -> Path:
    """Write the tables; return their folder."""
    folder = root / "v1.0-trainval"
    folder.mkdir(parents=True)
    (root / "maps").mkdir()
    Image.new("L", (1, 1)).save(root / "maps" / "none.png")  # the devkit wants a map to be there
    rng = random.Random(seed)
    names = "scene sample sensor calibrated_sensor sample_data ego_pose category instance sample_annotation attribute"
    with ExitStack() as stack:
        tables = {
            name: stack.enter_context(Table(folder / f"{name}.json")) for name in f"{names} visibility log map".split()
        }
        for number, name in enumerate(CATEGORIES):
            tables["category"].add(token=token("category", number), name=name, description="", index=number)
        for number, channel in enumerate(RATES):
            modality = {"L": "lidar", "C": "camera", "R": "radar"}[channel[0]]
            tables["sensor"].add(token=token("sensor", number), channel=channel, modality=modality)
        for level in range(1, 5):
            tables["visibility"].add(token=str(level), level=f"v{level}", description="")
        tables["attribute"].add(token=token("attribute", 0), name="vehicle.parked", description="")
        logs = max(1, scenes * 68 // SCENES)
        for number in range(logs):
            tables["log"].add(
                token=token("log", number),
                logfile=_logfile(number),
                vehicle="n015",
                date_captured="2018-07-24",
                location="singapore-onenorth",
            )
        places = [token("log", number) for number in range(logs)]
        tables["map"].add(token=token("map", 0), log_tokens=places, category="semantic_prior", filename="maps/none.png")
        for scene in range(scenes):
            _scene(tables, scene, scene * logs // scenes, scenes, rng)
    return folder


def _logfile(number: int) -> str:
    return f"n015-2018-07-{number % 28 + 1:02d}-11-{number // 28:02d}-45+0800"


def _scene(tables: dict[str, Table], scene: int, log: int, scenes: int, rng: random.Random) -> None:
    samples = SAMPLES * scenes // SCENES
    rows = range(samples * scene // scenes, samples * (scene + 1) // scenes)
    start = 1_530_000_000_000_000 + scene * 30_000_000
    words = ("Rain, ", "Night, ", "Night, after rain, ")
    tables["scene"].add(
        token=token("scene", scene),
        log_token=token("log", log),
        nbr_samples=len(rows),
        first_sample_token=token("sample", rows[0]),
        last_sample_token=token("sample", rows[-1]),
        name=f"scene-{scene + 1:04d}",
        description=f"{words[scene % 12] if scene % 12 < 3 else ''}turn left, parked cars",
    )
    for place, row in enumerate(rows):
        tables["sample"].add(
            token=token("sample", row),
            timestamp=start + place * 500_000,
            prev=token("sample", row - 1) if place else "",
            next=token("sample", row + 1) if row != rows[-1] else "",
            scene_token=token("scene", scene),
        )
    for number, (channel, rate) in enumerate(RATES.items()):
        camera = channel.startswith("CAM")
        calibration = token(f"calibrated{scene}", number)
        tables["calibrated_sensor"].add(
            token=calibration,
            sensor_token=token("sensor", number),
            translation=_numbers(rng, 3, 2),
            rotation=_quaternion(rng),
            camera_intrinsic=[[1266.4, 0.0, 816.3], [0.0, 1266.4, 491.5], [0.0, 0.0, 1.0]] if camera else [],
        )
        _records(tables, scene, channel, calibration, round(rate * len(rows)), rows, start, rng)
    _objects(tables, scene, rows, rng)


def _records(
    tables: dict[str, Table],
    scene: int,
    channel: str,
    calibration: str,
    count: int,
    rows: Sequence[int],
    start: int,
    rng: random.Random,
) -> None:
    """Write one sensor's records of a scene: evenly spaced, the first of each sample its key frame."""
    kind = f"{channel}{scene}/"
    ending = "jpg" if channel.startswith("CAM") else "pcd.bin" if channel.startswith("LIDAR") else "pcd"
    before = -1
    for number in range(count):
        place = number * len(rows) // count
        stamp = start + number * 500_000 * len(rows) // count
        own = token(kind, number)
        folder = "samples" if place != before else "sweeps"
        log = _logfile(scene % 68)
        tables["sample_data"].add(
            token=own,
            sample_token=token("sample", rows[place]),
            ego_pose_token=own,
            calibrated_sensor_token=calibration,
            timestamp=stamp,
            fileformat=ending.removesuffix(".bin"),
            is_key_frame=place != before,
            height=900 if ending == "jpg" else 0,
            width=1600 if ending == "jpg" else 0,
            filename=f"{folder}/{channel}/{log}__{channel}__{stamp}.{ending}",
            prev=token(kind, number - 1) if number else "",
            next=token(kind, number + 1) if number + 1 < count else "",
        )
        tables["ego_pose"].add(
            token=own, timestamp=stamp, rotation=_quaternion(rng), translation=[*_numbers(rng, 2, 2000), 0.0]
        )
        before = place


def _objects(tables: dict[str, Table], scene: int, rows: Sequence[int], rng: random.Random) -> None:
    total = round(BOXES * len(rows))
    made = 0
    for number in range(-(-total // LIFE)):
        life = min(LIFE, total - made, len(rows))
        first = rng.randrange(len(rows) - life + 1)
        instance = token(f"instance{scene}", number)
        marks = [token(f"annotation{scene}/{number}", step) for step in range(life)]
        tables["instance"].add(
            token=instance,
            category_token=token("category", rng.randrange(len(CATEGORIES))),
            nbr_annotations=life,
            first_annotation_token=marks[0],
            last_annotation_token=marks[-1],
        )
        size, where = _numbers(rng, 3, 5), _numbers(rng, 3, 2000)
        for step, (mark, before, after) in enumerate(_neighbours(marks)):
            tables["sample_annotation"].add(
                token=mark,
                sample_token=token("sample", rows[first + step]),
                instance_token=instance,
                visibility_token="4",
                attribute_tokens=[],
                translation=[where[0] + step, where[1], where[2]],
                size=[abs(side) + 0.1 for side in size],
                rotation=_quaternion(rng),
                prev=before,
                next=after,
                num_lidar_pts=rng.randrange(200),
                num_radar_pts=rng.randrange(5),
            )
        made += life


def _neighbours(marks: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    return zip(marks, ["", *marks], [*marks[1:], ""], strict=False)


def _numbers(rng: random.Random, count: int, scale: float) -> list[float]:
    return [rng.uniform(-scale, scale) for _ in range(count)]


def _quaternion(rng: random.Random) -> list[float]:
    """Return a turn about a nearly upright axis, as vehicles make."""
    half = rng.uniform(-math.pi, math.pi) / 2
    lean = rng.uniform(-0.01, 0.01)
    return [math.cos(half), math.sin(half) * lean, 0.0, math.sin(half) * math.sqrt(1 - lean * lean)]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--scenes", type=int, default=SCENES)
    given = parser.parse_args()
    print(write(given.folder, given.scenes))
