"""What the program itself thinks of the zip, and that enabling and disabling leave nothing behind."""

from tests.blender.conftest import ZIP, blender


def test_build_accepts_the_unpacked_sources(tmp_path) -> None:
    import zipfile

    zipfile.ZipFile(ZIP).extractall(tmp_path / "source")
    built = tmp_path / "built.zip"
    run = blender("--command", "extension", "build", "--source-dir", tmp_path / "source", "--output-filepath", built)
    assert run.returncode == 0 and built.is_file(), run.stdout + run.stderr


def test_it_is_enabled_and_its_wheels_import(installed: str) -> None:
    code = (
        "import bpy, plyfile, bgs_engine; name = 'bl_ext.user_default.binary_gaussian_segmentation';"
        "assert name in bpy.context.preferences.addons; assert hasattr(bpy.types, 'BGS_PT_segment');"
        "bpy.ops.preferences.addon_disable(module=name); assert not hasattr(bpy.types, 'BGS_PT_segment');"
        "assert not hasattr(bpy.types.Object, 'bgs'); bpy.ops.preferences.addon_enable(module=name);"
        "assert hasattr(bpy.types.Object, 'bgs')"
    )
    run = blender("-b", "--python-exit-code", 7, "--python-expr", code)
    assert run.returncode == 0, run.stdout + run.stderr


def test_nothing_is_written_beside_the_code(installed: str, coded, tmp_path) -> None:
    code = "import bl_ext.user_default.binary_gaussian_segmentation as m; print('AT', m.__path__[0])"
    folder = blender("-b", "--python-expr", code).stdout.split("AT ")[1].split("\n")[0]
    listing = f"import os; print('FILES', sum(len(f) for p, _, f in os.walk({folder!r}) if '__pycache__' not in p))"

    def files() -> str:
        return blender("-b", "--python-expr", listing).stdout.split("FILES ")[1].split("\n")[0]

    before = files()
    run = blender("--command", "bgs", "import", coded, "-o", tmp_path / "a.blend")
    assert run.returncode == 0, run.stderr
    assert files() == before
