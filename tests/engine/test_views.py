"""Views from a bare splat: upright, unmirrored, on what matters, inside closed rooms; and the pictures around them."""

from pathlib import Path

import numpy as np
import pytest

from bgs_engine.core.errors import InputError, UsageError
from bgs_engine.core.events import Reporter
from bgs_engine.core.files import read_json
from bgs_engine.io.dataset import PLY_KEY, open_dataset
from bgs_engine.io.gaussians import load_gaussians
from bgs_engine.io.images import read_image
from bgs_engine.io.pictures import contact_sheet, overlay
from bgs_engine.io.ply import read_ply
from bgs_engine.raster.scene import RasterScene
from bgs_engine.views import ViewsConfig, make_views
from bgs_engine.views.bulk import find_bulk
from bgs_engine.views.make import plan_views
from bgs_engine.views.up import given_up, guess_up
from tests.helpers.made_figures import BASE, BLUE, GREY, RED, SIDE, TOP, ball, figure, splat

CONFIG = ViewsConfig(count=12, size=(128, 96))


def turn_to(up: np.ndarray) -> np.ndarray:
    """A rotation [3, 3] that takes z to `up`."""
    side = np.cross(up, np.eye(3)[np.argmin(np.abs(up))])
    side /= np.linalg.norm(side)
    return np.stack([side, np.cross(up, side), up], axis=1)


@pytest.mark.parametrize("up", [(1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0), (0, 0, 1), (0, 0, -1), (0.3, -0.8, 0.5)])
def test_up_is_found_from_the_ground(tmp_path: Path, up: tuple[float, float, float]) -> None:
    direction = np.array(up) / np.linalg.norm(up)
    turned = [(points @ turn_to(direction).T, color) for points, color in figure()]
    ply = splat(tmp_path / "s.ply", turned, 0.02)
    found = guess_up(find_bulk(load_gaussians(read_ply(ply))))
    assert found.ground
    # An axis is snapped to exactly; a tilted ground is fitted by random triples: a few degrees
    assert found.direction @ direction > (1 - 1e-9 if np.abs(direction).max() == 1 else np.cos(np.radians(4)))


def test_up_without_ground_is_the_capture_habit(tmp_path: Path) -> None:
    ply = splat(tmp_path / "s.ply", [(ball((0, 0, 0), 1, 3000), GREY)], 0.02)
    found = guess_up(find_bulk(load_gaussians(read_ply(ply))))
    assert not found.ground and found.direction.tolist() == [0, -1, 0]


def test_the_flat_side_of_a_thing_is_no_ground(tmp_path: Path) -> None:
    """A guitar's back is a plane with much of the mass, but its neck reaches further than it does."""
    rng = np.random.default_rng(3)
    faces = rng.uniform(-1, 1, (2500, 3))
    faces[:, 1] = np.sign(faces[:, 1])  # front and back, 1 x 1, 0.3 apart
    neck = rng.uniform(-1, 1, (900, 3)) * (0.05, 0.05, 1.0) + (0, 0, 1.5)
    back = faces * (0.5, 0.15, 0.5)
    found = guess_up(find_bulk(load_gaussians(read_ply(splat(tmp_path / "s.ply", [(back, GREY), (neck, RED)], 0.02)))))
    assert not found.ground and found.direction.tolist() == [0, -1, 0]


def test_views_are_upright_and_not_mirrored(tmp_path: Path) -> None:
    """Each ball's pixels lie where the camera in transforms.json puts it: wrong handedness or up would move them."""
    out = tmp_path / "dataset"
    result = make_views(splat(tmp_path / "s.ply", figure(), 0.02), out, CONFIG, Reporter())
    dataset = open_dataset(out)
    assert len(dataset.cameras) == CONFIG.count
    assert dataset.up is not None and np.allclose(dataset.up, (0, 0, 1)) and np.allclose(result.up, (0, 0, 1))
    assert dataset.scene.resolve() == (tmp_path / "s.ply").resolve()  # recorded, not copied
    assert not Path(read_json(out / "transforms.json")[PLY_KEY]).is_absolute()
    assert (out / "preview" / "views.png").is_file()
    checked = 0
    for camera in dataset.cameras:
        assert -(camera.viewmat[1, :3] @ result.up) > 0  # the picture's y axis points down in the world
        assert camera.image is not None
        pixels = read_image(camera.image).astype(int)
        for channel, center in ((0, TOP), (2, BASE), (1, SIDE)):
            others = [k for k in range(3) if k != channel]
            ys, xs = np.nonzero(pixels[..., channel] - pixels[..., others].max(-1) > 100)
            x, y, z = camera.viewmat[:3, :3] @ np.array(center) + camera.viewmat[:3, 3]
            expected = np.array([camera.fx * x / z + camera.cx, camera.fy * y / z + camera.cy])
            radius = camera.fx * 0.17 / z
            whole = (expected > radius).all() and (expected < np.array([camera.width, camera.height]) - radius).all()
            if z > 0.3 and whole and len(xs) > 0.8 * np.pi * radius**2:  # in the picture and not hidden by another
                assert np.hypot(xs.mean() + 0.5 - expected[0], ys.mean() + 0.5 - expected[1]) < 0.35 * radius
                checked += 1
    assert checked >= CONFIG.count  # of three balls a view at least one on average is whole


def test_far_giants_do_not_move_the_cameras(tmp_path: Path) -> None:
    alone = find_bulk(load_gaussians(read_ply(splat(tmp_path / "a.ply", figure(), 0.02))))
    far = (np.array([[500.0, 0, 0], [0, -900, 50], [1e4, 1e4, 1e4]]), GREY)  # 0.1 % of the Gaussians
    crowd = find_bulk(load_gaussians(read_ply(splat(tmp_path / "b.ply", [*figure(), far], 0.02))))
    assert np.linalg.norm(alone.center - crowd.center) < 0.03 * alone.radius
    assert crowd.radius == pytest.approx(alone.radius, rel=0.03)


def test_an_object_is_seen_from_outside_and_wholly(tmp_path: Path) -> None:
    gaussians = load_gaussians(read_ply(splat(tmp_path / "s.ply", figure(), 0.02)))
    result = plan_views(
        gaussians, RasterScene.from_gaussians(gaussians), ViewsConfig(count=20, size=(128, 96)), Reporter()
    )
    assert not result.inside
    assert result.covered >= 0.95  # the figure; nothing in this scene is hidden
    heights = [camera.position[2] for camera in result.cameras]
    assert min(heights) > 0 and max(heights) > 2 * min(heights)  # above ground, several heights


def test_few_views_are_warned_of_without_a_share(tmp_path: Path) -> None:
    """Of 4 views, none of the Gaussians is seen by 5: a share of 0 % would say nothing."""
    reporter = Reporter()
    ply = splat(tmp_path / "s.ply", figure(), 0.02)
    make_views(ply, tmp_path / "data", ViewsConfig(count=4, size=(64, 48)), reporter)
    assert [text[:19] for text in reporter.warnings] == ["There are 4 views. "]
    assert "%" not in reporter.warnings[0]


def test_a_closed_room_is_seen_from_inside(tmp_path: Path) -> None:
    half = np.array([2.0, 1.5, 1.2])
    points = np.random.default_rng(2).uniform(-1, 1, (9000, 3))
    walls = np.arange(9000) % 3
    points[np.arange(9000), walls] = np.sign(points[np.arange(9000), walls])
    parts = [(points * half, GREY), (ball((1, 0.5, -0.9), 0.3), RED), (ball((-1, -0.5, -0.9), 0.3), BLUE)]
    gaussians = load_gaussians(read_ply(splat(tmp_path / "s.ply", parts, 0.05)))
    config = ViewsConfig(count=24, size=(128, 96), up="z")
    result = plan_views(gaussians, RasterScene.from_gaussians(gaussians), config, Reporter())
    assert result.inside
    assert result.covered >= 0.95
    positions = np.array([camera.position for camera in result.cameras])
    assert (np.abs(positions) < half - 0.05).all()  # one Gaussian's radius off every wall
    for center in (1, 0.5, -0.9), (-1, -0.5, -0.9):
        assert np.linalg.norm(positions - center, axis=1).min() > 0.3  # never inside matter


def test_same_seed_same_cameras(tmp_path: Path) -> None:
    gaussians = load_gaussians(read_ply(splat(tmp_path / "s.ply", figure(), 0.02)))
    scene = RasterScene.from_gaussians(gaussians)
    config = ViewsConfig(count=4, size=(32, 24), seed=3)
    one, two = (plan_views(gaussians, scene, config, Reporter()).cameras for _ in range(2))
    assert all(np.array_equal(a.viewmat, b.viewmat) for a, b in zip(one, two, strict=True))


def test_what_cannot_be_done_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="transparent"):
        make_views(splat(tmp_path / "s.ply", figure(), 0.02, logit=-np.inf), tmp_path / "d", CONFIG, Reporter())
    with pytest.raises(UsageError, match="axis"):
        given_up("up")
    with pytest.raises(UsageError, match="views"):
        ViewsConfig(count=0)


def test_contact_sheet_and_overlay() -> None:
    white = np.ones((30, 40, 3), np.float32)
    tall = np.zeros((60, 40, 3), np.uint8)
    page = contact_sheet([white, tall, white], 2, tile_width=20)
    assert page.shape[1] == 2 * 20 + 4 and page.shape[0] == 2 * 30 + 4  # 4 pixels between tiles, rows as the tallest
    assert (page[:15, :20] == 255).all() and (page[:30, 24:] == 0).all()
    labels = np.zeros((30, 40, 3), np.uint8)
    labels[:, :20] = (255, 0, 0)
    mixed = overlay(white, labels, share=0.5)
    assert (mixed[:, 20:] == 255).all() and mixed[0, 0].tolist() == [255, 128, 128]
