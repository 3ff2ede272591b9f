"""`bgs find`: the labels of a run that fit a text. `bgs names --words`: names from a vocabulary."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bgs_engine.core.errors import InputError
from bgs_engine.core.events import Reporter
from bgs_engine.core.input_files import read_text
from bgs_engine.core.label_table import LabelTable, write_labels
from bgs_engine.core.printable import printable
from bgs_engine.io.job_lock import only_writer
from bgs_engine.io.run_folder import Run, open_run
from bgs_engine.io.run_update import finish_update
from bgs_engine.naming.name_table import people_names, set_names
from bgs_engine.pipeline.word_vectors import WordVectors, word_vectors
from bgs_engine.words.model import ImageTextModel
from bgs_engine.words.ranking import CANONICAL, FOUND, best_words, ordered, relevancy

MOST_WORDS = 20_000
MOST_BYTES = 2_000_000  # of a vocabulary


@dataclass(frozen=True)
class Hit:
    """A label that fits a text. score: 0..1; found: whether it is above the threshold."""

    level: int
    label: int
    name: str
    score: float
    found: bool


def find_by_name(run: Run, text: str, level: int | None = None) -> list[Hit]:
    """The labels whose names hold all words of a text, whatever their case, at one level or at all.

    Raises:
        UsageError: the run has no such level.
        InputError: the label table does not fit the codes.
    """
    words, table = text.casefold().split(), run.checked_labels()
    levels = range(1, run.layout.levels + 1) if level is None else [level]
    return [
        Hit(own, row.label, row.name, 1.0, True)
        for own in levels
        for row in table.of(own)
        if words and all(word in row.name.casefold() for word in words)
    ]


def find_by_picture(
    run: Run,
    model: ImageTextModel,
    vectors: dict[int, WordVectors],
    text: str,
    unwanted: Sequence[str],
    level: int | None = None,
) -> list[Hit]:
    """The labels of one level or of all, those that fit the text best first; see `relevancy`.

    Args:
        run: its names are given back.
        model: compares.
        vectors: those of the run's labels, of `word_vectors` and the same model.
        text: what is looked for.
        unwanted: what a label must not be.
        level: None for all.

    Raises:
        UsageError: the run has no such level.
        InputError: the label table does not fit the codes.
    """
    table = run.checked_labels()
    if level is not None:
        run.layout.bits_to(level)
    levels = list(range(1, run.layout.levels + 1)) if level is None else [level]
    names = {(own, row.label): row.name for own in levels for row in table.of(own)}
    wanted, contrasts = model.texts([text])[0], model.texts([*CANONICAL, *unwanted])
    hits = []
    for own in levels:
        one = vectors[own]
        scores = relevancy(one.vectors, wanted, contrasts)
        for k in ordered(scores, one.labels.tolist()):
            label, score = int(one.labels[k]), float(scores[k])
            hits.append(Hit(own, label, names.get((own, label), ""), score, score > FOUND))
    return sorted(hits, key=lambda hit: -hit.score)


def as_table(hits: Sequence[Hit]) -> str:
    """The hits, one a line. A star marks those that are nearer to the text than to every contrast."""
    lines = [
        f"{hit.score:>6.3f}{'*' if hit.found else ' '} {hit.level:>5} {hit.label:>10}  {printable(hit.name)}"
        for hit in hits
    ]
    return "\n".join([f"{'score':>6}  {'level':>5} {'label':>10}  name", *lines])


def name_by_words(folder: Path, words: Path, model: ImageTextModel, reporter: Reporter) -> tuple[LabelTable, int]:
    """Name the labels of a run by the words of a text file that fit best. Returns the table and how many are new.

    A label that no word fits better than the canonical texts keeps its name, and so does one that a person named.

    Raises:
        UsageError: another job writes there.
        InputError: the file has no words, or the run is damaged.
        OutputError: the folder cannot be written. The run is as it was.
    """
    vocabulary = read_vocabulary(words)
    vectors = word_vectors(open_run(folder), model, reporter)
    texts, contrasts = model.texts(vocabulary), model.texts(CANONICAL)
    with only_writer(folder):
        finish_update(folder)
        table, changed = open_run(folder).checked_labels(), 0
        for level, one in vectors.items():
            rows = table.of(level)
            best, scores = best_words(one.vectors, texts, contrasts)
            word_of = {
                int(label): vocabulary[k]
                for label, k, score in zip(one.labels, best.tolist(), scores, strict=True)
                if score > FOUND
            }
            taken = people_names(rows) | {row.name for row in rows if row.label not in word_of}
            changed += set_names(rows, _numbered([word_of.get(row.label, "") for row in rows], taken))
        write_labels(folder / "labels.json", table)
    return table, changed


def read_vocabulary(path: Path) -> list[str]:
    """The words of a text file, one a line, in its order; empty lines and lines that begin with # do not count.

    Raises:
        InputError: the file cannot be read, or has no words or too many.
    """
    lines = (line.strip() for line in read_text(path, MOST_BYTES).splitlines())
    words = list(dict.fromkeys(line for line in lines if line and not line.startswith("#")))
    if not 1 <= len(words) <= MOST_WORDS:
        raise InputError(f"{path.name} has {len(words):,} words.", f"Write 1 to {MOST_WORDS:,} words, one a line.")
    return words


def _numbered(words: Sequence[str], taken: set[str]) -> list[str]:
    """The words, with numbers from 1 where several labels have one; "" stays. None of them is in `taken`."""
    out, used, several, last = [], set(taken), Counter(words), Counter[str]()
    for word in words:
        name = word
        while word and (name in used or (several[word] > 1 and name == word)):
            last[word] += 1
            name = f"{word} {last[word]}"
        used.add(name)
        out.append(name)
    return out
