"""Images drawn on this machine by a real engine, with a model of random weights (``testing/tiny_diffusion.py``): what
is drawn is noise, and every word, seed, step and mask changes it as it would an image.
"""

from __future__ import annotations

import io
import os
import shutil
import signal
from base64 import b64decode
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from PIL import Image
from tests.e2e.command import intermodal
from tests.unit.gateway.gateway_server import GatewayServer

from intermodal import errors
from intermodal.client.async_client import AsyncClient
from intermodal.client.request_builder import make_request
from intermodal.core.request import ImageOutput
from intermodal.events import Result, Sketched, StepProgress
from intermodal.plans.explain import explain
from intermodal.testing import tiny_diffusion

pytestmark = [pytest.mark.e2e, pytest.mark.anyio, pytest.mark.timeout(300)]
BRUSH = "mine:test/tiny-diffusion"
SIZE = (64, 48)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_diffusion.write(tmp_path_factory.mktemp("tiny-diffusion"))


def configure(folder: Path, weights: Path, monkeypatch: pytest.MonkeyPatch, more: str = "") -> None:
    path = folder / "intermodal.toml"
    path.write_text(
        '[hosts.mine]\nprotocol = "diffusion"\n\n[[hosts.mine.models]]\nid = "test/tiny-diffusion"\n'
        f'weights = "{weights}"\n{more}'
    )
    monkeypatch.setenv("INTERMODAL_CONFIG", str(path))


@pytest.fixture(autouse=True)
def configured(tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configure(tmp_path, model, monkeypatch)


@pytest.fixture(scope="module")
async def client(model: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[AsyncClient]:
    """One for all tests, in an environment of its own: the engine is started once."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        configure(home, model, patch)
        patch.setenv("INTERMODAL_HOME", str(home))
        patch.setenv("INTERMODAL_DISCOVERY", "off")
        env = dict(os.environ)
    async with AsyncClient(env=env) as made:
        yield made


@pytest.fixture
async def newcomer() -> AsyncIterator[AsyncClient]:
    """A client that has drawn nothing yet."""
    async with AsyncClient() as made:
        yield made


def masked(mode: str, changes: object, rest: object) -> bytes:
    """A mask of which the left half may change."""
    image = Image.new(mode, SIZE, rest)  # type: ignore[arg-type]
    image.paste(changes, (0, 0, SIZE[0] // 2, SIZE[1]))  # type: ignore[arg-type]
    image.save(out := io.BytesIO(), "PNG")
    return out.getvalue()


@pytest.mark.parametrize(
    "mask", [masked("RGBA", (0, 0, 0, 0), (200, 90, 10, 255)), masked("L", 255, 0)], ids=["transparent", "white"]
)
def test_the_gateway_edits_within_a_mask_of_either_kind_and_a_seed_edits_twice_the_same(mask: bytes) -> None:
    picture = Image.effect_noise(SIZE, 90).convert("RGB")
    picture.save(out := io.BytesIO(), "PNG")
    fields = {
        "model": BRUSH, "prompt": "a red star", "size": "64x48", "steps": "2", "guidance": "1", "strength": "0.9",
        "seed": "7",
    }  # fmt: skip
    with GatewayServer() as house:
        made = []
        for _ in range(2):
            files = {"image": ("photo.png", out.getvalue()), "mask": ("mask.png", mask)}
            found = house.http.post("/v1/images/edits", data=fields, files=files)
            assert found.status_code == 200, found.text
            made.append(Image.open(io.BytesIO(b64decode(found.json()["data"][0]["b64_json"]))).convert("RGB"))
    left, right = (0, 0, 32, 48), (32, 0, 64, 48)
    assert made[0].crop(right).tobytes() == picture.crop(right).tobytes(), "what may not change is as it was"
    assert made[0].crop(left).tobytes() != picture.crop(left).tobytes()
    assert made[0].tobytes() == made[1].tobytes()


async def drawn(client: AsyncClient, prompt: str, *files: Any, seed: int | None = 1, **wishes: Any) -> Result:
    usual: dict[str, Any] = {"size": SIZE, "steps": 2, "guidance": 1.0}
    output = ImageOutput(**usual | wishes)
    return (await client.ask(prompt, *files, output=output, seed=seed)).result


def pixels(result: Result, place: int = 0) -> bytes:
    return Image.open(io.BytesIO(result.images[place].data)).convert("RGB").tobytes()


def png(image: Image.Image) -> bytes:
    held = io.BytesIO()
    image.save(held, "PNG")
    return held.getvalue()


def photo(size: tuple[int, int] = SIZE) -> Image.Image:
    return Image.linear_gradient("L").resize(size).convert("RGB")


def left_half(size: tuple[int, int] = SIZE) -> bytes:
    """A mask: what may change is white."""
    mask = Image.new("L", size, 0)
    mask.paste(255, (0, 0, size[0] // 2, size[1]))
    return png(mask)


# ---- what is drawn ---------------------------------------------------------------------------------------------


async def test_a_seed_draws_the_same_bytes_again_and_another_seed_word_or_step_draws_another(
    client: AsyncClient,
) -> None:
    first = await drawn(client, "a red fox")
    assert Image.open(io.BytesIO(first.images[0].data)).size == SIZE
    assert first.endpoint == BRUSH
    assert first.cost == 0
    again = await drawn(client, "a red fox")
    assert again.images[0].data == first.images[0].data
    others = [
        await drawn(client, "a red fox", seed=2), await drawn(client, "a blue car"),
        await drawn(client, "a red fox", steps=3), await drawn(client, "a red fox", guidance=4.0),
        await drawn(client, "a red fox", guidance=4.0, negative="snow"),
        await drawn(client, "a red fox", sampler="heun", steps=3),
    ]  # fmt: skip
    every = [pixels(each) for each in (first, *others)]
    assert len(set(every)) == len(every)


async def test_another_process_draws_the_same_bytes_with_the_seed(client: AsyncClient, tmp_path: Path) -> None:
    here = await drawn(client, "a red fox")
    target = tmp_path / "fox.png"
    options = ("--size", "64x48", "--steps", "2", "--guidance", "1", "--seed", "1")
    ran = intermodal("ask", "a red fox", *options, "--to", str(target), "--quiet")
    assert ran.code == 0, ran.err
    assert target.read_bytes() == here.images[0].data


async def test_without_a_seed_the_one_that_was_chosen_is_said_and_draws_it_again(client: AsyncClient) -> None:
    made = await drawn(client, "a red fox", seed=None)
    (note,) = [note for note in made.notes if "drawn with --seed" in note]
    chosen = int(note.split("--seed ")[1].split(",")[0])
    again = await drawn(client, "a red fox", seed=chosen)
    assert pixels(again) == pixels(made)
    assert not [note for note in again.notes if "drawn with" in note]


async def test_several_pictures_have_seeds_one_after_the_other(client: AsyncClient) -> None:
    both = await drawn(client, "a red fox", seed=5, count=2)
    assert len(both.images) == 2
    assert pixels(both, 1) == pixels(await drawn(client, "a red fox", seed=6))


@pytest.mark.parametrize(("form", "head"), [("jpeg", b"\xff\xd8\xff"), ("webp", b"RIFF"), ("png", b"\x89PNG")])
async def test_the_format_that_is_asked_for_is_what_comes(client: AsyncClient, form: Any, head: bytes) -> None:
    made = await drawn(client, "a red fox", format=form)
    assert made.images[0].media_type == f"image/{form}"
    assert made.images[0].data.startswith(head)
    assert not made.notes or "was asked for" not in " ".join(made.notes)


# ---- images that go in ---------------------------------------------------------------------------------------


async def test_a_picture_is_drawn_anew_as_far_as_its_strength_says(client: AsyncClient) -> None:
    picture = png(photo())
    little = await drawn(client, "a red fox", picture, steps=8, strength=0.2)
    much = await drawn(client, "a red fox", picture, steps=8, strength=1.0)
    assert pixels(little) != pixels(much)
    other = await drawn(client, "a red fox", png(photo().rotate(180)), steps=8, strength=0.2)
    assert pixels(little) != pixels(other)
    assert pixels(await drawn(client, "a red fox", picture, steps=8, strength=0.2)) == pixels(little)


async def test_the_size_of_a_picture_that_goes_in_is_kept_in_units_of_the_model(client: AsyncClient) -> None:
    made = await drawn(client, "a red fox", png(photo((100, 50))), size=None)
    assert Image.open(io.BytesIO(made.images[0].data)).size == (96, 48)


async def test_what_a_mask_leaves_black_stays_as_it_was_and_the_rest_is_drawn(client: AsyncClient) -> None:
    original = photo()
    output = ImageOutput(size=SIZE, steps=3, guidance=1.0, strength=1.0, mask=True)
    answer = await client.ask("a red fox", png(original), left_half(), output=output, seed=1)
    made = Image.open(io.BytesIO(answer.result.images[0].data)).convert("RGB")
    right, left = (SIZE[0] // 2, 0, *SIZE), (0, 0, SIZE[0] // 2, SIZE[1])
    assert made.crop(right).tobytes() == original.crop(right).tobytes()
    assert made.crop(left).tobytes() != original.crop(left).tobytes()
    other = (await client.ask("a red fox", png(original), left_half(), output=output, seed=2)).result
    assert Image.open(io.BytesIO(other.images[0].data)).convert("RGB").crop(left).tobytes() != made.crop(left).tobytes()


# ---- while it draws --------------------------------------------------------------------------------------------


async def test_each_step_is_told_with_how_the_picture_looks(client: AsyncClient) -> None:
    events = []
    request = make_request("a red fox", output=ImageOutput(size=SIZE, steps=4, guidance=1.0), seed=1)
    async for event in client.stream(request):
        events.append(event)
    fractions = [event.fraction for event in events if isinstance(event, StepProgress) and event.fraction is not None]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    assert len(set(fractions)) >= 4
    sketches = [event for event in events if isinstance(event, Sketched)]
    assert [each.done for each in sketches] == [1, 2, 3, 4]
    looks = [Image.open(io.BytesIO(each.picture.data)).convert("RGB") for each in sketches]
    assert looks[0].tobytes() != looks[-1].tobytes()
    assert max(looks[0].size) == 256


async def test_of_many_steps_some_are_shown_and_the_command_line_writes_the_last_look(
    client: AsyncClient, tmp_path: Path
) -> None:
    request = make_request("a red fox", output=ImageOutput(size=SIZE, steps=40, guidance=1.0), seed=1)
    looks = [event async for event in client.stream(request) if isinstance(event, Sketched)]
    assert 10 <= len(looks) <= 21
    look, target = tmp_path / "look.png", tmp_path / "fox.png"
    options = ("--size", "64x48", "--steps", "40", "--guidance", "1", "--seed", "1", "--quiet")
    ran = intermodal("ask", "a red fox", *options, "--preview", str(look), "--to", str(target))
    assert ran.code == 0, ran.err
    assert look.read_bytes() == looks[-1].picture.data
    wrong = intermodal("ask", "a red fox", *options, "--preview", "look.gif", "--to", str(target))
    assert "end the name in .png" in wrong.err


async def test_a_drawing_that_nobody_waits_for_ends_and_the_next_one_is_drawn(client: AsyncClient) -> None:
    with anyio.move_on_after(1.0) as scope:
        await drawn(client, "a red fox", steps=1000, size=(512, 512))
    assert scope.cancelled_caught
    assert (await drawn(client, "a red fox")).images


# ---- the plan --------------------------------------------------------------------------------------------------


async def test_the_plan_says_steps_and_pixels_and_that_an_image_generator_does_it(newcomer: AsyncClient) -> None:
    plan = await newcomer.plan("a red fox", output=ImageOutput(size=(256, 256), steps=20))
    assert plan.chosen.endpoint == BRUSH
    assert plan.verdict.instead == "image generator"
    text = explain(plan)
    assert "256x256 x 20 steps" in text
    assert "nothing leaves this machine" in text
    longer = await newcomer.plan("a red fox", output=ImageOutput(size=(256, 256), steps=40))
    larger = await newcomer.plan("a red fox", output=ImageOutput(size=(512, 512), steps=20))
    assert longer.chosen.total.seconds.mid > plan.chosen.total.seconds.mid
    assert larger.chosen.total.seconds.mid > 2 * plan.chosen.total.seconds.mid
    assert larger.chosen.total.memory.mid > plan.chosen.total.memory.mid


async def test_the_memory_that_it_takes_is_within_what_the_plan_said(newcomer: AsyncClient) -> None:
    answer = await newcomer.ask("a red fox", output=ImageOutput(size=(384, 384), steps=1), seed=1)
    (actual,) = answer.result.actuals
    promised = answer.plan.chosen.total.memory
    assert actual.peak_memory is not None
    assert promised.low <= actual.peak_memory <= promised.high


def test_fit_tells_the_memory_of_each_size_and_whether_the_machine_has_it(model: Path) -> None:
    ran = intermodal("fit", str(model), "--ram", "2GB")
    assert ran.code == 0, ran.err
    assert "Ovis-Image, a diffusion model" in ran.out
    rows = {line.split()[0]: line for line in ran.out.splitlines() if line.startswith("  ")}
    assert "  fits" in rows["256x256"]
    assert "does not fit" in rows["1536x1536"]
    document = intermodal("fit", str(model), "--json").document
    assert document["architecture"] == "Ovis-Image"
    sizes = [each["memory"]["mid"] for each in document["sizes"]]
    assert sizes == sorted(sizes)
    alone = intermodal("fit", str(model / "diffusion_model.safetensors"))
    assert alone.code != 0
    assert "has no VAE" in alone.err


# ---- what is wrong ---------------------------------------------------------------------------------------------


async def test_a_mask_of_another_size_is_refused_before_anything_is_drawn(client: AsyncClient) -> None:
    output = ImageOutput(steps=2, mask=True)
    with pytest.raises(errors.UsageError, match="make the mask as large as its image|has 32x32 pixels"):
        await client.plan("a fox", ("photo.png", png(photo())), ("mask.png", left_half((32, 32))), output=output)


async def test_a_mask_that_is_no_picture_is_refused_by_name(client: AsyncClient) -> None:
    output = ImageOutput(steps=2, mask=True)
    with pytest.raises(errors.UsageError, match=r"notes.txt is text, not an image"):
        await client.plan("a fox", ("photo.png", png(photo())), ("notes.txt", b"no image"), output=output)


async def test_a_mask_that_is_black_everywhere_is_refused(client: AsyncClient) -> None:
    black = png(Image.new("L", SIZE, 0))
    with pytest.raises(errors.InputUnsupported, match="entirely black"):
        await client.ask("a fox", png(photo()), black, output=ImageOutput(steps=1, mask=True))


@pytest.mark.parametrize(
    ("wishes", "part"),
    [
        ({"size": (250, 256)}, "multiples of 16 pixels"), ({"steps": 0}, "0 steps"), ({"strength": 0.5}, "no image"),
        ({"strength": 1.5}, "strength of 1.5"), ({"guidance": -1.0}, "guidance of -1"),
        ({"sampler": "eulr"}, "did you mean euler"), ({"mask": True}, "no image goes in"),
        ({"quality": "high"}, "cannot be told a quality"),
    ],
)  # fmt: skip
async def test_wishes_that_make_no_sense_are_one_sentence(
    client: AsyncClient, wishes: dict[str, Any], part: str
) -> None:
    with pytest.raises(errors.IntermodalError) as caught:
        await client.plan("a fox", output=ImageOutput(**wishes))
    assert part in f"{caught.value} {caught.value.todo}"


async def test_a_negative_seed_is_refused(client: AsyncClient) -> None:
    with pytest.raises(errors.UsageError, match="not a seed of an image"):
        await client.plan("a fox", output=ImageOutput(), seed=-1)


@pytest.fixture
def spoilt(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a copy of the model, which is the one that is configured."""
    place = tmp_path / "spoilt"
    shutil.copytree(model, place)
    configure(tmp_path, place, monkeypatch)
    return place


async def test_files_that_are_damaged_are_refused_before_the_engine_sees_them(spoilt: Path) -> None:
    network = spoilt / "diffusion_model.safetensors"
    whole = network.read_bytes()
    network.write_bytes(whole[: len(whole) // 2])
    assert "diffusion_model.safetensors: is shorter than its own header says" in await failing()
    network.write_bytes(b"\xff" * 4096)
    assert "claims a header of" in await failing()
    network.write_bytes(whole)
    (spoilt / "llm.safetensors").unlink()
    assert "has no text encoder" in await failing()
    network.rename(spoilt / "model.ckpt")
    (spoilt / "taesd.safetensors").unlink()
    assert "is a pickle" in await failing()


async def test_a_tensor_of_another_name_and_parts_that_do_not_belong_together_are_errors_and_nothing_hangs(
    spoilt: Path,
) -> None:
    network = spoilt / "diffusion_model.safetensors"
    whole = network.read_bytes()
    network.write_bytes(whole.replace(b'"final_layer.linear.weight"', b'"final_layer.linear.heavy."'))
    async with AsyncClient() as client:
        with pytest.raises(errors.WeightsError, match="cannot be opened by the engine"):
            await drawn(client, "a red fox")
    network.write_bytes(whole)
    tiny_diffusion.write(spoilt / "wide", text=16)
    shutil.copy(spoilt / "wide" / "llm.safetensors", spoilt / "llm.safetensors")
    async with AsyncClient() as client:
        with pytest.raises(errors.RuntimeCrashed) as caught:
            await drawn(client, "a red fox")
    assert "belong together" in caught.value.todo


async def failing() -> str:
    async with AsyncClient() as client:
        with pytest.raises(errors.NoRoute) as caught:
            await drawn(client, "a red fox")
    assert "\n" not in str(caught.value)
    return str(caught.value)


async def test_an_engine_that_dies_is_an_error_and_the_next_picture_is_drawn(client: AsyncClient) -> None:
    await drawn(client, "a red fox")

    async def kill() -> None:
        while True:  # it is tried again once
            for child in [pid for pid in _children(os.getpid()) if "embedded.diffusion" in _command(pid)]:
                os.kill(child, signal.SIGSEGV)
            await anyio.sleep(0.1)

    async with anyio.create_task_group() as group:
        group.start_soon(kill)
        with pytest.raises(errors.RuntimeCrashed, match="died"):
            await drawn(client, "a red fox", steps=1000, size=(512, 512))
        group.cancel_scope.cancel()
    assert (await drawn(client, "a red fox")).images


def _children(pid: int) -> list[int]:
    import psutil

    return [each.pid for each in psutil.Process(pid).children(recursive=True)]


def _command(pid: int) -> str:
    import psutil

    try:
        return " ".join(psutil.Process(pid).cmdline())
    except psutil.Error:
        return ""
