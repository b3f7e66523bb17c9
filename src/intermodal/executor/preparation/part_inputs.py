"""Prepares the inputs of a call from the parts of a request, in the form that the endpoint may receive.

No runtime or server of this machine gets the user's file: it gets PCM and pixels that the media worker decoded. A
remote host that accepts the file's own format gets the file, because re-encoding it would cost quality and bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from intermodal import errors
from intermodal.catalog.types import Endpoint
from intermodal.concurrency.offload import offload
from intermodal.core.content import Image, Part, Text
from intermodal.executor.conversion.conversions import decode_channels
from intermodal.executor.dependencies import MediaWorkerLike, OpenedMediaLike, Progress
from intermodal.executor.drivers.codecs import accepted_image_types
from intermodal.executor.preparation.model_inputs import (
    AudioInput,
    DocumentInput,
    ImageInput,
    ModelInput,
    StepProduct,
    TextInput,
    VideoInput,
)
from intermodal.executor.preparation.prompt import AUDIO_FORMATS, label, shown_name
from intermodal.files.file_bytes import read_whole
from intermodal.media.audio.encoding import mp3
from intermodal.media.media_limits import CONTRASTIVE_SIDE, MAX_FILE_BYTES, PDF
from intermodal.plans.cpu_schedule import DECODER_USE, LOCAL_ZONES, REMOTE_USE, CoreUse
from intermodal.plans.facts import PartFacts
from intermodal.plans.plan import PartRef, StepRef, input_references, takes_part
from intermodal.plans.step import Call, takes_separate_channels
from intermodal.protocols.openai_media.transcription import ENDINGS
from intermodal.store.rows import Work

_RATE = 16_000  # Hz, of the media worker's PCM


class InputPreparer:
    """Prepares each part once."""

    def __init__(self, opened_media: OpenedMediaLike, media: MediaWorkerLike, parts: Sequence[Part]) -> None:
        self._opened_media = opened_media
        self._media = media
        self._parts = parts
        self._pcm: dict[int, AudioInput] = {}

    async def sounds(
        self, step: Call, products: Mapping[str, StepProduct], endpoint: Endpoint, progress: Progress | None = None
    ) -> tuple[AudioInput, ...]:
        """Return recordings for speech recognition: PCM for an embedded model, a file in a supported format for a host.

        If two channels are transcribed separately, an embedded model gets one input with both, a host one file for
        each.
        """
        if not takes_separate_channels(step):
            return (await self._sound(step, products, endpoint, progress),)
        source = input_references(step)[0]
        if isinstance(source, StepRef):
            sound = _audio_of(products[source.id])
        else:
            sound = await self._audio_of_both_channels(source.index, progress)
        if endpoint.host.zone == "process":
            return (sound,)
        pack = as_wav_input if endpoint.host.zone in LOCAL_ZONES else _as_mp3_input
        channels = (msgspec.structs.replace(sound, pcm=pcm, beside=b"") for pcm in (sound.pcm, sound.beside))
        return tuple([await offload(True, pack, each) for each in channels])

    async def _sound(
        self, step: Call, products: Mapping[str, StepProduct], endpoint: Endpoint, progress: Progress | None
    ) -> AudioInput:
        near = endpoint.host.zone == "process"
        for each in input_references(step):
            if isinstance(each, StepRef):
                found = _audio_of(products[each.id])
                return found if near else as_wav_input(found)
            if near:
                return await self._decode_audio(each.index, progress)
            return await self._file(each.index, endpoint, ENDINGS, progress)
        raise errors.PlanStale("has nothing to hear", where=step.endpoint, todo="plan again", step=step.id)

    async def native(self, index: int, endpoint: Endpoint) -> tuple[ModelInput, ...]:
        """Return a part as the last call gets it without conversion."""
        facts = self._facts(index)
        if facts.kind == "text":
            # ``chat_messages`` adds the sender's own text; a text file is data.
            if isinstance(self._parts[index], Text):
                return ()
            return (TextInput(text=self._opened_media.text(index), label=label("Text", facts.name)),)
        if facts.kind == "image":
            return (await self._image_input(index, facts, endpoint),)
        if facts.kind == "audio":
            return (await self._file(index, endpoint, AUDIO_FORMATS),)
        if facts.kind == "video" and endpoint.host.zone not in LOCAL_ZONES:
            return (
                VideoInput(
                    data=await self._file_bytes(index), media_type=facts.media_type, seconds=facts.seconds.mid,
                    width=facts.width, height=facts.height,
                ),
            )  # fmt: skip
        if facts.kind == "document" and endpoint.host.zone not in LOCAL_ZONES and facts.media_type == PDF:
            return (
                DocumentInput(data=await self._file_bytes(index), name=shown_name(facts.name), pages=len(facts.pages)),
            )
        raise errors.UnsupportedModality(
            f"cannot be sent {facts.name} as it is ({facts.kind})", where=endpoint.id, sent=False
        )

    async def images_for(
        self, step: Call, products: Mapping[str, StepProduct], endpoint: Endpoint
    ) -> tuple[ImageInput, ...]:
        """Return the images that a step reads or describes: an image part, rendered pages, or frames of a video."""
        found: list[ImageInput] = []
        for each in input_references(step):
            if isinstance(each, PartRef):
                found.append(await self._image_input(each.index, self._facts(each.index), endpoint))
            else:
                found += [piece for piece in products[each.id].pieces if isinstance(piece, ImageInput)]
        return tuple(found)

    async def _file_bytes(self, index: int) -> bytes:
        """Return the unchanged bytes of a file, read when it is about to be sent."""
        data, name = self._opened_media.data(index), self._facts(index).name
        return data if isinstance(data, bytes) else await offload(True, data.read_all, name)

    def _facts(self, index: int) -> PartFacts:
        facts: PartFacts = self._opened_media.facts.parts[index]
        return facts

    async def _decode_audio(self, index: int, progress: Progress | None = None) -> AudioInput:
        if index not in self._pcm:
            name = self._facts(index).name
            pcm = await self._media.pcm(self._opened_media.data(index), name=name, progress=progress)
            self._pcm[index] = AudioInput(seconds=pcm.seconds, pcm=pcm.samples, name=name)
        return self._pcm[index]

    async def _audio_of_both_channels(self, index: int, progress: Progress | None = None) -> AudioInput:
        return await decode_channels(self._media, self._opened_media.data(index), self._facts(index).name, progress)

    async def _file(
        self, index: int, endpoint: Endpoint, endings: Mapping[str, str], progress: Progress | None = None
    ) -> AudioInput:
        facts = self._facts(index)
        if endpoint.host.zone not in LOCAL_ZONES and facts.media_type in endings and facts.size <= MAX_FILE_BYTES:
            return AudioInput(
                seconds=facts.seconds.mid,
                data=await self._file_bytes(index),
                media_type=facts.media_type,
                name=facts.name,
            )
        return as_wav_input(await self._decode_audio(index, progress))

    async def _image_input(self, index: int, facts: PartFacts, endpoint: Endpoint) -> ImageInput:
        accepted = facts.media_type in accepted_image_types(endpoint)
        as_it_is = endpoint.host.zone not in LOCAL_ZONES and accepted and facts.frames == 1
        part = self._parts[index]
        detail = part.detail if isinstance(part, Image) else "auto"
        if not as_it_is:
            small = CONTRASTIVE_SIDE if endpoint.model.matches_images else None
            return msgspec.structs.replace(await self._clean(index, small), detail=detail)
        data = await self._file_bytes(index)
        return ImageInput(data=data, media_type=facts.media_type, width=facts.width, height=facts.height, detail=detail)

    async def _clean(self, index: int, min_side: int | None = None) -> ImageInput:
        """Return an image decoded, turned upright, stripped of everything but pixels, and encoded again.

        ``min_side``: shrink it while decoding, until the shorter side has this many pixels; its counted work is that of
        the original size.
        """
        facts = self._facts(index)
        picture = await self._media.picture(self._opened_media.data(index), min_side=min_side, name=facts.name)
        width, height = (picture.width, picture.height) if min_side is None else (facts.width, facts.height)
        return ImageInput(data=picture.data, media_type=picture.media_type, width=width, height=height)


def decoder_use(step: Call) -> CoreUse:
    """Return what preparing a step's media occupies: a decoder, unless earlier steps produced them."""
    return DECODER_USE if takes_part(step) else REMOTE_USE


def _audio_of(product: StepProduct) -> AudioInput:
    """Return the audio that a step extracted from a video."""
    return next(piece for piece in product.pieces if isinstance(piece, AudioInput))


def as_wav_input(sound: AudioInput) -> AudioInput:
    """Return a recording as a WAV file, which every protocol accepts."""
    if sound.data:
        return sound
    return AudioInput(
        seconds=sound.seconds, data=wav(read_whole(sound.pcm, sound.name)), media_type="audio/wav", name=sound.name
    )


def _as_mp3_input(sound: AudioInput) -> AudioInput:
    """Return speech as MP3 for a remote host: hosts limit the size of files, and twenty minutes of samples
    are 38 MB.
    """
    data = mp3(read_whole(sound.pcm, sound.name), _RATE)
    return AudioInput(seconds=sound.seconds, data=data, media_type="audio/mpeg", name=sound.name)


class SizedImage(Protocol):
    """An image whose size in pixels is known."""

    @property
    def width(self) -> int: ...

    @property
    def height(self) -> int: ...

    @property
    def detail(self) -> str: ...


def measure_images(images: Sequence[SizedImage]) -> Work:
    """Return the amount of work of the images of a call."""
    pixels = sum(image.width * image.height for image in images)
    return Work(megapixels=round(pixels / 1e6, 4), pictures=len(images))


def measure_work(pieces: Sequence[ModelInput]) -> Work:
    """Return the amount of work of a call with these inputs, for its row."""
    images = [piece for piece in pieces if isinstance(piece, ImageInput)]
    pages = sum(image.page > 0 and not image.cropped for image in images)
    pages += sum(piece.pages for piece in pieces if isinstance(piece, DocumentInput))
    seconds = round(sum(piece.seconds for piece in pieces if isinstance(piece, AudioInput)), 3)
    return msgspec.structs.replace(measure_images(images), audio_seconds=seconds, pages=pages)


def wav(pcm: bytes) -> bytes:
    """Return 16 kHz mono 16-bit PCM as a WAV file.

    Layout: Microsoft and IBM, Multimedia Programming Interface and Data Specifications 1.0, 1991, chapter 3.
    """
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, _RATE, 2 * _RATE, 2, 16)
    return b"RIFF" + struct.pack("<I", 36 + len(pcm)) + b"WAVE" + form + struct.pack("<4sI", b"data", len(pcm)) + pcm
