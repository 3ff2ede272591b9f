"""Views compared with each other, on a made scene: a board with two parts, a ball beside it, and false candidates."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bgs_engine.associate.masked_views import MaskedViews
from bgs_engine.associate.stage import AssociateConfig, associate
from bgs_engine.core.cameras import Camera
from bgs_engine.core.codes import BitLayout
from bgs_engine.core.errors import InputError
from bgs_engine.core.events import Reporter
from bgs_engine.io.dataset import Dataset
from bgs_engine.io.masks import MARKER, shared_level_bits
from bgs_engine.masks.agreement.groups import grouped
from bgs_engine.masks.agreement.members import collect_members
from bgs_engine.masks.agreement.paint import paint_view
from bgs_engine.masks.agreement.segments import settled
from bgs_engine.masks.agreement.stage import HERE, agreed
from bgs_engine.masks.agreement.tree import SceneTree, build_tree
from bgs_engine.masks.bits import MaskStack
from bgs_engine.masks.photos import chosen_photos
from bgs_engine.raster.label_maps import label_renderer
from bgs_engine.raster.scene import RasterScene
from tests.helpers.made_scenes import make

VIEWS, SIDE, FOCAL = 6, 120, 130.0
LEFT, RIGHT, BALL = 1, 2, 3


def looking_at_origin(k: int) -> Camera:
    """One of `VIEWS` cameras in front of the board, on an arc."""
    angle = (k - (VIEWS - 1) / 2) * 0.16
    eye = np.array([4 * np.sin(angle), 0.3, -4 * np.cos(angle)])
    forward = -eye / np.linalg.norm(eye)
    right = np.cross([0.0, 1.0, 0.0], forward)
    right /= np.linalg.norm(right)
    rotation = np.stack([right, np.cross(forward, right), forward])
    viewmat = np.eye(4)
    viewmat[:3, :3], viewmat[:3, 3] = rotation, -rotation @ eye
    return Camera(f"{k}", SIDE, SIDE, FOCAL, FOCAL, SIDE / 2, SIDE / 2, viewmat)


@pytest.fixture(scope="module")
def scene() -> RasterScene:
    """A flat board of small Gaussians, left half and right half, and a ball to its right."""
    rng = np.random.default_rng(0)
    board = np.stack([rng.uniform(-1.2, 0.4, 3000), rng.uniform(-0.7, 0.7, 3000), rng.uniform(-0.02, 0.02, 3000)], 1)
    ball = rng.normal(size=(1500, 3))
    ball = ball / np.linalg.norm(ball, axis=1, keepdims=True) * 0.35 + [1.05, 0, 0]
    means = np.concatenate([board, ball])
    quats = np.tile([1.0, 0, 0, 0], (len(means), 1))
    return RasterScene.from_gaussians(
        make(means, quats, np.full((len(means), 3), 0.025), np.full(len(means), 0.95), np.float32)
    )


@pytest.fixture(scope="module")
def things(scene: RasterScene) -> np.ndarray:
    """Which thing each Gaussian belongs to, int32 [N]."""
    x = scene.means[:, 0]
    return np.where(x > 0.6, BALL, np.where(x < -0.4, LEFT, RIGHT)).astype(np.int32)


@pytest.fixture(scope="module")
def cameras() -> list[Camera]:
    return [looking_at_origin(k) for k in range(VIEWS)]


@pytest.fixture(scope="module")
def pictures(scene: RasterScene, things: np.ndarray, cameras: list[Camera]) -> list[np.ndarray]:
    """The thing that each pixel of each view shows, int [H, W], 0 = nothing."""
    render = label_renderer(HERE, scene, things, scene.opacities, 2)
    return [np.where((found := render(camera)) <= BALL, found, 0).astype(np.int64) for camera in cameras]


def candidates_of(pictures: list[np.ndarray]) -> list[MaskStack]:
    """The board, its halves and the ball; some views lack some of them, and each view has one false candidate."""
    stacks = []
    for k, picture in enumerate(pictures):
        board = (picture == LEFT) | (picture == RIGHT)
        found = [board, picture == BALL]
        if k != 2:
            found += [picture == LEFT, picture == RIGHT]
        false = np.zeros_like(board)
        false[38 + 7 * k : 45 + 7 * k, 20:70] = True  # another strip across the board in each view
        stacks.append(MaskStack.pack(SIDE, SIDE, [*found, false], np.full(len(found) + 1, 0.8, np.float32)))
    return stacks


def iou(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / (a | b).sum())


def test_the_tree_has_what_views_confirm_and_nothing_else(scene, things, cameras, pictures):
    stacks = candidates_of(pictures)
    members = collect_members(scene, cameras, stacks.__getitem__, lambda done: None)
    segments = settled(members, grouped(members))
    tree = build_tree(segments, 6)
    drawn = things[members.drawn]
    wanted = {"board": drawn != BALL, "ball": drawn == BALL, "left": drawn == LEFT, "right": drawn == RIGHT}
    inside = segments.inside[:, tree.segment]
    seen = members.weight.sum(1) > 0
    place = {name: int(np.argmax([iou(inside[seen, k], true[seen]) for k in range(inside.shape[1])]))
             for name, true in wanted.items()}  # fmt: skip
    assert len(tree.segment) == 4 and len(set(place.values())) == 4
    assert all(iou(inside[seen, place[name]], true[seen]) > 0.9 for name, true in wanted.items())
    assert tree.parent[place["left"]] == tree.parent[place["right"]] == place["board"]
    assert [tree.depth[place[name]] for name in wanted] == [1, 1, 2, 2]
    assert (segments.candidate[tree.segment[place["left"]]] >= 0).sum() == VIEWS - 1  # one view has none of it


def test_maps_name_a_thing_alike_in_every_view(scene, cameras, pictures):
    stacks = candidates_of(pictures)
    agreement = agreed(scene, cameras, stacks.__getitem__, None, Reporter())
    maps = list(agreement.maps)
    assert len(agreement.level_bits) == 2 and sum(agreement.level_bits) == 32
    names = []
    for level_maps, picture in zip(maps, pictures, strict=True):
        ids = [int(np.bincount(level_maps[1][picture == thing]).argmax()) for thing in (LEFT, RIGHT, BALL)]
        assert min(ids) > 0
        names.append(ids)
        for thing, number in zip((LEFT, RIGHT, BALL), ids, strict=True):
            assert iou(level_maps[1] == number, picture == thing) > 0.85  # also in the view that has no halves
        board = (picture == LEFT) | (picture == RIGHT)
        assert len(np.unique(level_maps[0][board])) == 1
    assert names == [names[0]] * VIEWS and len(set(names[0])) == 3


def test_codes_of_masks_with_the_same_ids_are_not_merged_again(scene, things, cameras, pictures):
    agreement = agreed(scene, cameras, candidates_of(pictures).__getitem__, None, Reporter())
    maps = [found.astype(np.int32) for found in agreement.maps]
    layout = BitLayout(agreement.level_bits)
    views = MaskedViews(scene, cameras, maps.__getitem__, layout, same_ids=True)
    codes = associate(views, AssociateConfig(), 0, Reporter()).codes
    for level, groups in ((1, (things == BALL, things != BALL)), (2, [things == thing for thing in (1, 2, 3)])):
        labels = layout.labels(codes, level)
        for group in groups:
            most = np.bincount(np.unique(labels, return_inverse=True)[1][group]).argmax()
            assert iou(np.unique(labels, return_inverse=True)[1] == most, group) > 0.9


def test_fewer_levels_leave_out_the_least_useful(scene, cameras, pictures):
    agreement = agreed(scene, cameras, candidates_of(pictures).__getitem__, 1, Reporter())
    assert all(found.shape[0] == 1 for found in agreement.maps)
    assert len(agreement.level_bits) == 1


def test_more_levels_than_the_scene_has_repeat_the_finest(scene, cameras, pictures):
    agreement = agreed(scene, cameras, candidates_of(pictures).__getitem__, 5, Reporter())
    for maps in agreement.maps:
        assert len(maps) == 5 and all(np.array_equal(found, maps[1]) for found in maps[2:])
    assert len(agreement.level_bits) == 5 and sum(agreement.level_bits) == 32


def test_no_candidates_give_empty_maps(scene, cameras):
    empty = MaskStack.empty(SIDE, SIDE)
    agreement = agreed(scene, cameras, lambda number: empty, None, Reporter())
    assert all(not found.any() for found in agreement.maps)


@pytest.mark.parametrize("own", [True, False])
def test_a_view_without_a_candidate_follows_the_others(own: bool) -> None:
    """A whole with one part; the view's candidate of the part, if it has one, wins over what the splat shows."""
    tree = SceneTree(np.arange(2), np.array([-1, 0]), np.array([1, 2]), np.ones(2))
    rendered = np.zeros((4, 6), np.int32)
    rendered[:, 3:] = 1  # the splat shows the part on the right
    part = np.zeros((4, 6), bool)
    part[:, 4:] = True
    maps = paint_view({1: part} if own else {}, rendered, tree, np.ones(2), 3)
    assert (maps[0] == 1).all()
    assert np.array_equal(maps[1] == 2, part if own else rendered == 1)
    assert np.array_equal(maps[2], maps[1])  # no finer segments: they stand for themselves


def test_a_tree_too_deep_for_the_codes_is_cut(monkeypatch, scene, cameras, pictures):
    monkeypatch.setattr("bgs_engine.masks.agreement.stage.MAX_BITS", 3)  # two levels would need two bits each
    agreement = agreed(scene, cameras, candidates_of(pictures).__getitem__, None, Reporter())
    assert len(agreement.level_bits) == 1


def test_damaged_level_bits_are_said(tmp_path: Path) -> None:
    dataset = Dataset(tmp_path, ())
    assert shared_level_bits(dataset) is None
    (tmp_path / "masks").mkdir()
    for text, message in (('{"level_bits": [40]}', "damaged"), ('{"level_bits": ["a"]}', "damaged"), ("[1]", "")):
        (tmp_path / "masks" / MARKER).write_text(text)
        if message:
            with pytest.raises(InputError, match=message):
                shared_level_bits(dataset)
        else:
            assert shared_level_bits(dataset) is None
    (tmp_path / "masks" / MARKER).write_text('{"level_bits": [4, 5]}')
    assert shared_level_bits(dataset) == BitLayout((4, 5))


def test_photos_are_chosen_from_all_sides() -> None:
    """Forty cameras close together and four far ones: all far ones are among eight, and the order stays."""
    near = [looking_at_origin(0)] * 40

    def moved(camera: Camera, name: int, shift: float) -> Camera:
        viewmat = camera.viewmat.copy()
        viewmat[0, 3] += shift
        return replace(camera, name=str(name), viewmat=viewmat)

    all_of_them = [moved(camera, k, 0.001 * k) for k, camera in enumerate(near)]
    all_of_them += [moved(near[0], 40 + k, 3.0 * (k + 1)) for k in range(4)]
    found = chosen_photos(all_of_them, 8)
    assert [camera.name for camera in found][-4:] == ["40", "41", "42", "43"] and len(found) == 8
    assert [int(camera.name) for camera in found] == sorted(int(camera.name) for camera in found)
    assert [len(chosen_photos(all_of_them, most)) for most in (0, 100)] == [44, 44]
