"""What every section of a configuration is: frozen, closed, and found by its name."""

from typing import Any, ClassVar, Self, get_args

from pydantic import BaseModel, ConfigDict, ModelWrapValidatorHandler, model_validator


class Frozen(BaseModel):
    """A section: values do not change, and unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Named(Frozen):
    """A section whose class is found by the value of one of its fields, `by`, a Literal."""

    by: ClassVar[str]

    @classmethod
    def known(cls) -> dict[str, type[Self]]:
        """The classes by the names that they answer to."""
        return {
            name: each
            for each in cls.__subclasses__()
            for name in get_args(each.model_fields[cls.by].annotation)
        }

    @model_validator(mode="wrap")
    @classmethod
    def _of_its_name(cls, value: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        if Named not in cls.__bases__ or not isinstance(value, dict):
            return handler(value)
        names, given = cls.known(), value.get(cls.by)
        if given not in names:
            raise ValueError(f"{cls.by}: expected one of {', '.join(names)}; got {given!r}")
        return names[given].model_validate(value)
