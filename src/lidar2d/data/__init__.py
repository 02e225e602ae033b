"""The one data layer: cards, sources, augmentations and the datamodule."""
