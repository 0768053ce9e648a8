"""Which models there are, and what their cards say.

Light: no torch comes with it.
"""

import json
from pathlib import Path

from pydantic import ValidationError

from medinv.errors import IntegrityError, ModelNotFoundError
from medinv.models.card import Card
from medinv.models.folder import CARD, SEAL, SHIPPED, WEIGHTS, has_file, read_file, seal


def shipped() -> tuple[str, ...]:
    """Names of the models that come with the package."""
    return tuple(sorted(path.parent.name for path in SHIPPED.glob(f"*/{CARD}")))


def locate(name_or_path: str | Path) -> Path:
    """The folder of a model given by shipped name or by path. Raises ModelNotFoundError."""
    for folder in (SHIPPED / str(name_or_path), Path(name_or_path)):
        if has_file(folder, CARD):
            return folder
    raise ModelNotFoundError(
        f"no model {str(name_or_path)!r}: expected one of {', '.join(shipped())} or a folder with "
        f"{WEIGHTS} and {CARD}"
    )


def read_card(name_or_path: str | Path) -> Card:
    """The card alone, without the weights.

    Raises ModelNotFoundError, and IntegrityError where it is not one or was changed.
    """
    folder = locate(name_or_path)
    path = folder / CARD
    try:
        tree = json.loads(read_file(folder, CARD))
        card = Card.model_validate({key: tree[key] for key in tree if key != SEAL})
    except ValidationError as error:
        first = error.errors()[0]
        why = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
        raise IntegrityError(
            f"this is not a model card of this version: {why}", path=path
        ) from error
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise IntegrityError(f"this is not a model card: {error}", path=path) from error
    if tree != seal(tree):
        raise IntegrityError(
            "this card was changed after it was written; restore the file", path=path
        )
    return card
