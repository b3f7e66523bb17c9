"""What the clients have for prompt files. Reading one is imported with the first."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from intermodal.prompts.prompt import Prompt


class PromptVerb:
    """What a client has for prompt files."""

    def prompt(self: Any, path: str | os.PathLike[str], **options: Any) -> Prompt:
        """A prompt file, ready to be explained and run.

        Args:
            path: of the file, or ``FILE#NAME`` for a function or a variant of it.
            options: of the policy and of sampling, as ``ask`` takes them; they go before what the file says.

        Raises:
            PromptError: the file cannot be used; with its line. InputMissing: there is none.
        """
        from intermodal.prompts.prompt import Prompt

        return Prompt(self, path, options)
