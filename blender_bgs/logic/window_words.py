"""Sentences of the engine in the words of Blender's window. Its users have a panel and no command line.

The engine's errors and warnings carry next steps for both. Whatever the window shows passes through `for_window`.
Copy Details keeps the engine's own words.
"""

import re

# Phrases of the engine with options, and what they are in the panel. The first that fits is used, so longer ones stand
# before shorter ones.
PHRASES = (
    (r":? the same command with --resume goes on", ""),
    (r"[Rr]un again without --resume(?: to start anew)?", "Press Segment again"),
    (r", use fewer workers \(--workers 1\) or a", " or use a"),
    (r"use --workers 1 or smaller images", "use smaller images"),
    (r"pip install --force-reinstall warp-lang", "Press Install Engine"),
    (r"or make a dataset from the splat alone with `bgs views`", "or leave Settings > Photos empty"),
    (r", or run `bgs masks`", ""),
    (r"Convert it to PLY first, with `bgs convert`", "Import it as it is, and segment what was imported"),
    (r"The answer of `bgs doctor` lists what is there", "Check Engine lists what is there"),
    (r"Install it: pip install 'bgs-engine\[\w+\]'", "Press Install Engine"),
    (r"[Ll]eave out --keep-labels, or name a run of this splat", "Switch off Keep Mended Labels"),
    (r" without --plain", " without Plain 62 Floats"),
    (r"(?:use |[Uu]se )?--device cpu", "set Device to CPU"),
    (r"(?:use |[Uu]se )?--device (?:cuda|gsplat)", "set Device to NVIDIA GPU"),
    (
        r"Give --model FOLDER of a downloaded CLIP or SigLIP model, or --model hf:NAME --fetch to download one",
        "Name the folder of a downloaded CLIP or SigLIP model in the preference Words Model",
    ),
    (
        r"Add --fetch to allow its download, or give --model FOLDER",
        "Download it, and name its folder in the preference Words Model",
    ),
    (r"[Gg]ive (?:--masks-model|--model)", "set Mask Model to"),
    (r"\(--dataset\)", "(Settings > Photos)"),
    (r"with --level-bits", "under Settings > Level Bits"),
    (r"\(`bgs segment --views`, `bgs views --count`\)", "(Settings > Views)"),
    (r"--(?:level-bits|views|iterations|seed|dataset|masks-model|model|device)\b", "Settings > {}"),
)
NAMES = {
    "level-bits": "Level Bits", "views": "Views", "iterations": "Iterations", "seed": "Seed", "dataset": "Photos",
    "masks-model": "Mask Model", "model": "Mask Model", "device": "Device",
}  # fmt: skip
# Options of other programs are no options of ours: nerfstudio's exporter, COLMAP and npm.
FOREIGN = ("--ply-color-mode", "--image_path", "--input_path", "--output_path", "--ignore-scripts")
_OPTION = re.compile(r"(?<![\w-])--[a-z][\w-]*|`bgs |\bbgs (?:segment|train|views|masks|render|frames|export)\b")
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z'\"(])")


def for_window(text: str) -> str:
    """The text without command-line options: they become names of the panel, or their sentence is left out."""
    return " ".join(filter(None, map(_translated, _SENTENCE.split(text)))) if _speaks_of_options(text) else text


def _translated(sentence: str) -> str:
    for pattern, words in PHRASES:
        sentence = re.sub(pattern, lambda found, words=words: words.format(NAMES.get(found[0][2:], "")), sentence)
    sentence = sentence[:1].upper() + sentence[1:]
    return "" if _speaks_of_options(sentence) else sentence


def _speaks_of_options(text: str) -> bool:
    return any(found[0] not in FOREIGN for found in _OPTION.finditer(text))
