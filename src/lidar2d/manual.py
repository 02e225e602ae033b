"""What ``--help`` says of each command."""

from __future__ import annotations

OVERVIEW = """\
lidar2d: distillation between cameras and LiDAR

  lidar2d fit --method collab                        teach a network, on the built-in synthetic town
  lidar2d fit --method ppkt --data kitti --data.root DIR
  lidar2d fit --method collab --help                 every setting of a method, and its value
  lidar2d fit --resume runs/NAME                     go on with a run
  lidar2d eval --checkpoint runs/NAME --protocol seg3d-lp/town@1    judge its features
  lidar2d bench --suite smoke                        every method under every protocol, into records
  lidar2d table                                      records into Markdown, CSV and the README's leaderboard
  lidar2d compare runs                               runs side by side: which settings mattered, which run is best
  lidar2d view --data kitti --data.root DIR --index 3      draw a frame, its points and boxes
  lidar2d prepare --method slidr --data nuscenes --data.root DIR      make what a method wants beside the images
  lidar2d check --data nuscenes --data.root DIR      is every file there, and readable?
  lidar2d weights FILE                               whose weights are they, and which network do they fit?
  lidar2d list methods|datasets|suites|protocols|corruptions|networks

`lidar2d COMMAND --help` says more."""

FIT = """\
lidar2d fit --method NAME [--data NAME] [--SETTING VALUE ...]

  --method NAME|FILE.yaml  the recipe (`lidar2d list methods`)
  --data NAME|FILE.yaml    the data set's card (`lidar2d list datasets`); the synthetic town by default
  --data.root DIR          the folder that holds the data set; the town keeps its scenes in $LIDAR2D_CACHE without it
  --config FILE.yaml       settings laid over the recipe; flags after it go over both
  --seed N                 of everything random (0)
  --run DIR                the run's folder; runs/METHOD-DATA-TIME by default
  --resume [DIR]           go on with the run in DIR, or with the method's newest; a run keeps its own recipe,
                           so that only --trainer.*, --data.root and --data.workers may follow
  --logger NAME            losses as csv in the run folder, and beside them tensorboard or wandb; or none
  --print_config           print the whole recipe and stop

  --method.points NAME     another network (`lidar2d list networks`), or package.module.Class of your own;
  --method.images NAME     its settings begin at its own defaults, not at the recipe's

Every setting below is a key of the recipe and a flag."""

EVAL = """\
lidar2d eval --checkpoint RUN --protocol ID [--data NAME] [--data.SETTING VALUE ...]
lidar2d eval --method NAME --protocol ID

Judges the networks of a run, or those of a recipe before they are taught, and prints a table.

  --checkpoint RUN|FILE    the run's folder, or a file of the whole method's weights in it
  --protocol ID|FILE.yaml  how they are judged (`lidar2d list protocols`)
  --data NAME|FILE.yaml    on which data set; the run's own by default
  --data.probe NAME        the split that heads learn from; --data.val chooses among them, --data.test is judged
  --labels PERCENT         of the frames that heads learn from: 1, 5, 10, 25, 50 or 100
  --seed N                 of the heads (0)
  --device cpu|cuda|auto   where to compute
  --data.weather.corruptions [fog,...]   judge clear frames in bad weather, too (`lidar2d list corruptions`);
                           --data.weather.severities [1,3,5], --data.weather.table NAME and --data.weather.keep true
  --name NAME              of the row; by default the run folder's, or METHOD-untrained
  --method.SETTING VALUE   with --method: other networks or first weights than the recipe's
  --results DIR            keep the numbers as records in DIR/eval/NAME.jsonl, in the place of those of that row
  --save-images DIR        pictures of some frames, or a map of features: DIR/index.html shows them all"""

BENCH = """\
lidar2d bench --suite NAME [--method NAME ...] [--only PROTOCOL ...]

Trains what is not trained yet, judges what has no record yet, and writes RESULTS/SUITE/METHOD.jsonl. What fails is
recorded with its error, and the rest goes on; exit status 1 then. A killed bench goes on where it was.

  --suite NAME|FILE.yaml   which methods, on which frames, under which protocols (`lidar2d list suites`)
  --method NAME ...        some rows of the suite alone
  --only PROTOCOL ...      some protocols alone, or those that begin so: seg3d
  --root NAME=DIR ...      the folder of a data set
  --shard K/N              the K-th of N shares, whole runs each, for a job array
  --retry                  try again what failed;  --again: judge everything again
  --results DIR            of the records (results);  --runs DIR: of the runs (runs/bench/SUITE)
  --device cpu|cuda|auto   where to judge
  --method.SETTING VALUE   and --trainer.SETTING VALUE: given to every training beside the suite's own"""

TABLE = """\
lidar2d table [--check | --suite NAME | --html DIR] [--results DIR]

Writes, from the records of each suite, RESULTS/SUITE.md and RESULTS/SUITE.csv, and the leaderboard in the README beside
RESULTS. Nothing in them is typed by hand.

  --check            writes nothing; says where files differ from the records, and which records are out of bounds,
                     stand twice or mix versions. Exit status 1 if files differ, 2 if records are wrong
  --suite NAME       prints the tables of one suite, and writes nothing
    --sort COLUMN    the best first by a condition or a kind of weather: clear, fog, all, method
    --against ROW    another row that the others are compared with, by intervals
  --html DIR         a page to look at and to share: sorts, filters, plots, and every record
    --gallery DIR ...  pictures that `lidar2d eval --save-images DIR` made, shown on the page
  --results DIR      of the records (results);  --readme FILE: whose leaderboard is made"""


COMPARE = """\
lidar2d compare PLACE [PLACE ...] [--metric NAME[,NAME ...]] [--out DIR]

Puts runs side by side: the settings in which they differ, their metrics as they were last logged, how much of the first
metric each setting explains, and which run is best. Runs that have not finished are shown, and count for nothing.

  PLACE                    a run folder, or a folder of them: runs; a folder of wandb's, or one that holds several:
                           wandb/offline-run-…; or, with a login, wandb:ENTITY/PROJECT, a sweep wandb:ENTITY/PROJECT/ID
                           or one run of it
  --metric NAME[,NAME...]  what is shown; runs are sorted by the first. By default an mIoU of the report of `fit`,
                           clear_probe/adverse or else clear_probe/clear, and the last loss of every stage
  --goal maximize|minimize of the first; the report's numbers go up and losses (STAGE/LOSS) down without it
  --out DIR                write compare.md, compare.csv with every metric, settings.png with a plot of each setting,
                           and best.yaml, the recipe of the best run: lidar2d fit --method DIR/best.yaml"""

PREPARE = """\
lidar2d prepare --method NAME [--data NAME] [--data.root DIR] [--SETTING VALUE ...]

Makes once, and keeps in $LIDAR2D_CACHE, what `lidar2d fit` of the same words would make before its first step:
the scenes of the synthetic town, superpixels, weak labels. What is there already is not made again.

  --data.superpixels.kind slic|felzenszwalb        how images are cut, and its settings (segments, compactness, ...)
  --data.weak_labels ModelLabels                   a segmentation model (OneFormer, Mask2Former, CLIPSeg)
    --data.weak_labels.model NAME|DIR --data.weak_labels.classes [car,road,...]
  --data.weak_labels ClusterLabels                 clusters of an image network's features
    --data.weak_labels.images NAME --data.weak_labels.classes 17
  --data.label_folder DIR                          somebody's PNG files: nothing is made"""

CHECK = """\
lidar2d check --data NAME --data.root DIR [--split NAME] [--quick | --deep] [--sums FILE]

Lists the files of a split that are missing, unreadable or wrong. Exit status 1 if there are any.

  --deep             reads every file and holds it against the others; what is done without a flag
  --quick            looks at names, sizes and headers alone: a full data set in minutes
  --sums FILE        holds files against checksums, as `sha256sum` or `md5sum` lists them in the data set's folder
  --data.sweeps N    looks at the sweeps before each frame's own, too"""

VIEW = """\
lidar2d view [--data NAME] [--data.root DIR] [--index N] [--out FILE.png]

  --data NAME|FILE.yaml    the data set (`lidar2d list datasets`); the synthetic town by default
  --split NAME             the data set's training split by default
  --index N                which frame, from 0
  --condition NAME         count only the frames of a condition, such as night
  --colour depth|class     of the points, or of pixels where there are none
  --data.image_size [H,W]  draw smaller images
  --data.sweeps N          with the sweeps before the frame's own; --data.cameras [NAME,...] and
  --data.points_range [x0,y0,z0,x1,y1,z1] show a part of it
  --data.weather.corruptions [fog] --data.weather.severities [3]   clear frames alone, in bad weather; of several,
                           clear air counts first, then each: --condition fog-3 chooses (`lidar2d list corruptions`)
  --out FILE.png           view.png by default"""

WEIGHTS = """\
lidar2d weights FILE [--names]
lidar2d weights RUN --to FORM --out FILE

Says what a file of weights holds and which network it fits. Exit status 1 if it fits none.
With --to, writes a trained encoder of a run for another project.

  --names       a line for every name in the file, and what becomes of it
  --to FORM     openpcdet, mmdet3d, mmdet3d-mvx, slidr, slidr-voxelnet, spconv or timm (docs/weights.md)
  --out FILE    where to"""

LIST = """\
lidar2d list methods|datasets|suites|protocols|corruptions|networks
lidar2d list datasets NAME

The second says how to get a data set, in which layout, under which licence, and what its splits are."""
