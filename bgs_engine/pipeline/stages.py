"""The stages that a job will have, each with its usual share of the time. Programs that show progress are told them.

The weights are seconds of a splat of 125,000 Gaussians and 20 views on two processor cores that other programs used
too. On other machines and scenes only the proportions count, and they need not be exact.
"""

BEFORE = (("Reading scene", 2.5), ("Preparing kernels", 50.0))
MODEL = (("Load mask model", 1.5),)
VIEWS = (("read splat", 0.5), ("place cameras", 23.0), ("render views", 16.0))
PHOTOS = (("Compare photos", 15.0),)  # not measured
MASKS = (("Find masks", 560.0), ("Compare views", 40.0), ("Write label maps", 25.0))
AFTER = (
    ("Collecting votes", 17.0), ("Merging masks", 5.0), ("Training", 100.0), ("Writing", 1.0),
    ("Drawing previews", 5.0),
)  # fmt: skip

Stages = tuple[tuple[str, float], ...]


def stages_of_segment(*, photos: bool, compared: bool, masked: bool) -> Stages:
    """Names and weights of the stages of `bgs segment`, in their order.

    Args:
        photos: there are photos; else views are rendered.
        compared: photos are compared with the splat.
        masked: the photos have masks already.
    """
    made = () if masked else MASKS
    views = () if photos else VIEWS
    return (*BEFORE, *(() if masked else MODEL), *views, *(PHOTOS if photos and compared else ()), *made, *AFTER)


def stages_of_training(*, compared: bool) -> Stages:
    """Names and weights of the stages of `bgs train`, in their order."""
    return (*BEFORE, *(PHOTOS if compared else ()), *AFTER)
