"""Which labels of a cloud a person mended since the engine found them, so that a second Segment keeps them."""

import os
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from bgs_engine.core.codes import BitLayout
from bgs_engine.core.errors import BgsError, UsageError
from bgs_engine.core.mended_labels import MendedLabels, check_levels, find_mended
from bgs_engine.io.engine_answer import engine_codes, has_engine_answer
from bgs_engine.io.run_folder import is_run_folder, open_run, run_id_of

from ..cloud import code_tables, point_clouds
from ..cloud.typed import SplatObject
from ..files import save_to_run
from ..logic.attributes import ROW
from .segment_config import SegmentConfig

CHECK_SECONDS = 1.0  # between two looks at the disk
_seen: tuple[float, str, bool] = (-CHECK_SECONDS, "", False)
# By session_uid: the run, the rows of the points and their codes from the engine. If a job has replaced the run but its
# result could not be taken, the next one still knows what was mended.
_given: dict[int, tuple[str, np.ndarray, np.ndarray]] = {}


def shows_switch(obj: SplatObject | None) -> bool:
    """Whether labels may be mended. Panels call it at every redraw, so it looks at the disk every `CHECK_SECONDS`."""
    global _seen
    if obj is None or obj.bgs.run_changed:
        return obj is not None and may_be_mended(obj)
    text = obj.bgs.run_folder
    if text != _seen[1] or time.monotonic() - _seen[0] > CHECK_SECONDS:
        _seen = (time.monotonic(), text, may_be_mended(obj))
    return _seen[2]


def may_be_mended(obj: SplatObject) -> bool:
    """Whether something was changed since the engine wrote the run."""
    place = obj.bgs.path_of(obj.bgs.run_folder)
    if place is None or not obj.bgs.level_bits or obj.bgs.is_alone:
        return False
    return obj.bgs.run_changed or has_engine_answer(place)


def mended_labels(obj: SplatObject) -> MendedLabels | None:
    """The mended labels of a cloud, in the order of its points; None if there are none.

    Raises:
        UsageError: the run folder, which has the engine's own answer, does not fit the cloud any more.
    """
    if not may_be_mended(obj):
        return None
    try:
        given = _engine_codes(obj)
    except BgsError as error:
        raise UsageError(
            f"Which labels of {obj.name} were mended cannot be told. {error.message}",
            "To replace all labels, switch off Keep Mended Labels. It is below Segment.",
        ) from None
    mended = find_mended(given, code_tables.codes_of(obj), code_tables.bit_layout_of(obj))
    return mended if mended.keys else None


def _engine_codes(obj: SplatObject) -> np.ndarray:
    """The codes that the engine gave the points, int32 [N]."""
    place = obj.bgs.path_of(obj.bgs.run_folder)
    assert place is not None
    folder, points = Path(os.path.realpath(place)), point_clouds.need_column(obj.data, ROW)
    if not is_run_folder(folder) or run_id_of(folder) != obj.bgs.run_id:
        known = _given.get(obj.session_uid)
        if known is not None and known[0] == obj.bgs.run_id and np.array_equal(known[1], points):
            return known[2]
        raise UsageError(f"The run that the labels came from is not in {folder} any more.")
    run = open_run(folder)
    given = engine_codes(folder, len(run.codes))[save_to_run.rows_in(obj, run)]
    _given[obj.session_uid] = obj.bgs.run_id, points, given
    return given


def config_for(config: SegmentConfig, mended: MendedLabels | None) -> SegmentConfig:
    """The settings for a run that keeps these labels: it has their levels, unless the user chose others.

    Raises:
        UsageError: the user chose fewer levels than the labels need.
    """
    if mended is None:
        return config
    if config.level_bits:
        check_levels(BitLayout.parse(config.level_bits), mended)
        return config
    return replace(config, level_bits=",".join(map(str, mended.layout.level_bits)))


def in_words(count: int) -> str:
    """For example "3 mended labels"."""
    return "1 mended label" if count == 1 else f"{count:,} mended labels"
