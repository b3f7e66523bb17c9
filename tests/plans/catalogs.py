"""Small catalogs for plan tests, made by hand: the figures are plausible and do not follow any price list."""

from __future__ import annotations

import random

import msgspec

from intermodal.catalog.token_rule_rows import ModelFamily, TokenRule
from intermodal.catalog.types import (
    FREE,
    Catalog,
    DefaultEffort,
    DiffusionSettings,
    Effort,
    Endpoint,
    Evidence,
    Host,
    Model,
    Price,
    Protocol,
    Speed,
    Strength,
    Task,
    ThinkingProfile,
    ToolSupport,
)
from intermodal.core.content import Kind
from intermodal.core.quantity import between, exact
from intermodal.core.request import Tier
from intermodal.plans.machine import Machine

MIB = 2**20
GIB = 2**30
HERE = Host(id="embedded", protocol="llama", zone="process", forced_json=True)
LAPTOP = Machine(cores=2, memory=16 * GIB, free=12 * GIB)


def strength(task: Task, tier: Tier, source: str = "") -> Strength:
    return Strength(task=task, tier=tier, evidence=Evidence(level="proxy", source=source))


def smollm2(*, ready: bool = True) -> Endpoint:
    return Endpoint(
        id="embedded:huggingfacetb/smollm2-135m-instruct",
        model=Model(
            id="huggingfacetb/smollm2-135m-instruct",
            tasks=("text-generation",),
            context=2048,
            tokenizer="smollm2",
            parameters=135e6,
            strength=(strength("text-generation", "tiny", "135M parameters, Q4_1"),),
        ),
        host=HERE,
        context=2048,
        price=FREE,
        memory=exact(220 * MIB),
        ready=ready,
        missing="" if ready else "weights not pulled",
        todo="" if ready else "intermodal pull smollm2-135m-instruct",
        speed=Speed(
            load=between(0.3, 0.5, 1.5, "start"),
            prompt=between(150, 340, 500, "measured"),
            decode=between(60, 120, 150, "measured"),
        ),
    )


def ear(
    name: str = "whisper-base", tier: Tier = "small", rtf: float = 0.13, languages: tuple[str, ...] = ()
) -> Endpoint:
    return Endpoint(
        id=f"embedded:openai/{name}",
        model=Model(
            id=f"openai/{name}",
            tasks=("automatic-speech-recognition",),
            input=("audio",),
            languages=languages,
            strength=(strength("automatic-speech-recognition", tier, "Whisper"),),
        ),
        host=HERE,
        input=("audio",),
        price=FREE,
        memory=exact(300 * MIB),
        speed=Speed(load=between(0.3, 0.6, 2.0, "start"), realtime_factor=between(rtf / 2, rtf, rtf * 3, "measured")),
    )


def translator() -> Endpoint:
    """An ear that writes English, whatever is spoken."""
    made = ear()
    host = msgspec.structs.replace(made.host, quirks=("audio_translations",))
    return msgspec.structs.replace(made, host=host, model=msgspec.structs.replace(made.model, translates=("en",)))


def reader() -> Endpoint:
    return Endpoint(
        id="embedded:paddlepaddle/ppocr-v6-small",
        model=Model(
            id="paddlepaddle/ppocr-v6-small",
            tasks=("image-to-text",),
            input=("image",),
            strength=(strength("image-to-text", "small", "PP-OCR"),),
        ),
        host=HERE,
        input=("image",),
        price=FREE,
        memory=exact(420 * MIB),
        speed=Speed(load=between(0.5, 1.0, 3.0, "start"), megapixel=between(0.3, 0.7, 2.4, "measured")),
    )


def embedder() -> Endpoint:
    return Endpoint(
        id="embedded:intfloat/multilingual-e5-small",
        model=Model(
            id="intfloat/multilingual-e5-small",
            tasks=("feature-extraction",),
            output=("embedding",),
            context=512,
            strength=(strength("feature-extraction", "small", "E5"),),
        ),
        host=HERE,
        context=512,
        price=FREE,
        memory=exact(126 * MIB),
        speed=Speed(load=between(0.2, 0.4, 1.0, "start"), prompt=between(200, 500, 2000, "measured")),
    )


def matcher(*, ready: bool = True, tier: Tier = "small") -> Endpoint:
    """A contrastive model: images and texts in one space."""
    return Endpoint(
        id="embedded:openai/clip-vit-base-patch32",
        model=Model(
            id="openai/clip-vit-base-patch32",
            tasks=("zero-shot-image-classification", "feature-extraction"),
            input=("text", "image"),
            output=("embedding",),
            objective=("contrastive",),
            context=77,
            image_tokens="fixed:50",
            strength=(strength("zero-shot-image-classification", tier, "CLIP"),),
        ),
        host=HERE,
        input=("text", "image"),
        context=77,
        price=FREE,
        memory=exact(700 * MIB),
        ready=ready,
        missing="" if ready else "its weights are not here",
        todo="" if ready else "intermodal pull clip-vit-base-patch32 --accept-unpinned",
        speed=Speed(load=between(0.5, 1.5, 4.0, "start"), prompt=between(400, 1000, 4000, "measured")),
    )


def embedded(*, chat: bool = True) -> tuple[Endpoint, ...]:
    return (smollm2(ready=chat), ear(), ear("whisper-tiny.en", "tiny", 0.045, ("en",)), reader(), embedder())


def host(name: str, **fields: object) -> Host:
    values = {
        "base_url": f"https://api.{name}.test/v1",
        "zone": "internet",
        "forced_json": True,
        "auth": "bearer",
        "key_env": "KEY",
        **fields,
    }
    return Host(id=name, **values)  # type: ignore[arg-type]


def hosted(
    where: Host,
    model: str,
    tier: Tier,
    prices: tuple[float | None, float | None],
    *,
    inputs: tuple[Kind, ...] = ("text",),
    context: int | None = 128_000,
    image_tokens: str = "",
    tokenizer: str = "",
    decode: float = 80.0,
    second: float | None = None,
    tasks: tuple[Task, ...] = (),
    max_output: int | None = 4096,
) -> Endpoint:
    if not tasks:
        tasks = ("text-generation",)
        tasks += ("image-text-to-text",) if "image" in inputs else ()
        tasks += ("audio-text-to-text",) if "audio" in inputs else ()
    local = where.zone in ("process", "machine")
    return Endpoint(
        id=f"{where.id}:{model}",
        model=Model(
            id=model,
            tasks=tasks,
            input=inputs,
            context=context,
            max_output=max_output,
            tokenizer=tokenizer,
            image_tokens=image_tokens,
            strength=tuple(strength(task, tier, "synthetic") for task in tasks),
        ),
        host=where,
        served_as=model.rsplit("/", 1)[-1],
        input=inputs,
        context=context,
        price=Price(input_mtok=prices[0], output_mtok=prices[1], second=second),
        memory=exact(6 * GIB) if local else exact(0),
        speed=Speed(
            overhead=between(0.2, 0.6, 2.0, "typical"),
            prompt=between(1000, 4000, 20000, "typical"),
            decode=between(decode / 2, decode, decode * 2, "typical"),
            realtime_factor=between(0.01, 0.03, 0.1, "typical"),
        ),
    )


ACME = host("acme")
PLAIN = host("plain", forced_json=False, max_images=2)
DESK = Host(id="desk", base_url="http://127.0.0.1:11434/v1", zone="machine", forced_json=True)


def acme() -> tuple[Endpoint, ...]:
    """A hosted family: a big one that sees, a small one that sees, one that hears, an ear, an embedder."""
    return (
        hosted(ACME, "acme/vista", "large", (2.5, 10.0), inputs=("text", "image"), image_tokens="openai_tile:85:170"),
        hosted(
            ACME,
            "acme/vista-mini",
            "medium",
            (0.15, 0.6),
            inputs=("text", "image"),
            image_tokens="openai_tile:2833:5667",
        ),
        hosted(ACME, "acme/sonata", "large", (2.5, 10.0), inputs=("text", "audio")),
        hosted(
            ACME,
            "acme/hark",
            "medium",
            (None, None),
            inputs=("audio",),
            second=0.0001,
            tasks=("automatic-speech-recognition",),
            context=None,
        ),
        hosted(
            ACME, "acme/vector", "medium", (0.02, 0.0), tasks=("feature-extraction",), context=8192, max_output=None
        ),
    )


def plain() -> tuple[Endpoint, ...]:
    """A host that cannot force JSON, names no price for one model, and takes two images a request."""
    return (
        hosted(PLAIN, "plain/longtext", "medium", (0.1, 0.3), context=1_000_000, decode=40.0),
        hosted(PLAIN, "plain/mystery", "large", (None, None), context=32_000),
        hosted(PLAIN, "plain/album", "medium", (0.5, 1.5), inputs=("text", "image"), image_tokens="fixed:576"),
    )


def thinkers() -> tuple[Endpoint, ...]:
    """One that thinks before it answers, and one that does where a request asks for it."""

    def thinking(made: Endpoint, unasked: DefaultEffort) -> Endpoint:
        by: tuple[tuple[Effort, tuple[float, float, float]], ...] = (
            ("low", (0.0, 200.0, 4096.0)), ("medium", (30.0, 700.0, 8192.0)), ("high", (80.0, 1600.0, 24576.0)),
        )  # fmt: skip
        found = ThinkingProfile(unasked=unasked, by=by, basis="assumed")
        return msgspec.structs.replace(made, model=msgspec.structs.replace(made.model, thinking=found))

    return (
        thinking(hosted(ACME, "acme/muser", "large", (2.0, 8.0), max_output=100_000), "medium"),
        thinking(hosted(ACME, "acme/quick", "medium", (0.5, 2.0), max_output=100_000), "none"),
    )


def twins() -> tuple[Endpoint, ...]:
    """Two models that are alike but for their names, and one of them at another host, too."""
    one, other = (hosted(PLAIN, f"plain/{name}", "large", (0.5, 1.5), context=32_000) for name in ("castor", "pollux"))
    return (one, other, hosted(ACME, "plain/castor", "large", (0.5, 1.5), context=32_000))


def desk() -> tuple[Endpoint, ...]:
    """A server on this machine."""
    return (
        hosted(DESK, "qwen/qwen3-8b", "medium", (0.0, 0.0), context=8192, decode=12.0),
        hosted(
            DESK,
            "llava/llava-7b",
            "small",
            (0.0, 0.0),
            inputs=("text", "image"),
            image_tokens="fixed:576",
            context=4096,
            decode=10.0,
        ),
    )


def voices() -> tuple[Endpoint, ...]:
    """Who speaks: a small voice here, a hosted one by the character, and a model that answers aloud by itself."""

    def voice(id_: str, where: Host, tier: Tier, price: Price, factor: float) -> Endpoint:
        return Endpoint(
            id=f"{where.id}:{id_}",
            model=Model(
                id=id_, tasks=("text-to-speech",), output=("audio",),
                strength=(strength("text-to-speech", tier, "voice"),),
            ),
            host=where,
            price=price,
            memory=exact(240 * MIB) if where is HERE else exact(0),
            speed=Speed(
                overhead=between(0.01, 0.05, 0.5, "measured"), load=between(0.5, 0.8, 1.3, "start"),
                realtime_factor=between(factor / 2, factor, factor * 2, "measured"),
            ),
        )  # fmt: skip

    talker = hosted(ACME, "acme/talker", "large", (2.5, 10.0), inputs=("text", "audio"))
    model = msgspec.structs.replace(talker.model, output=("text", "audio"))
    price = msgspec.structs.replace(talker.price, output_audio_mtok=64.0)
    return (
        voice("rhasspy/joe", HERE, "small", FREE, 0.15),
        voice("acme/herald", ACME, "large", Price(input_mchar=15.0), 0.1),
        msgspec.structs.replace(talker, model=model, price=price),
    )


OMNI = host("omni")
PAPER = host("paper")
TILES = host("tiles")


def families() -> tuple[ModelFamily, ...]:
    """Rules with days: one vendor counts by seconds and pages and changed in 2026, one by cells, one by tiles."""
    return (
        ModelFamily(
            names=("omni/all-1",),
            rules=(
                TokenRule(
                    effective_from="2025-01-01", image="gemini_tile:258:64:256", audio="rate:32",
                    video="gemini_seconds:258:64:5:32", document="page:258", most_pages=1000, most_seconds=34_200,
                    most_bytes=20_000_000, source="omni, its guide",
                ),
                TokenRule(
                    effective_from="2026-01-12", document="gemini_pages:280:560:1120", most_bytes=100_000_000,
                    source="omni, its newer guide",
                ),
            ),
        ),
        ModelFamily(
            names=("paper/scribe-1",),
            rules=(
                TokenRule(
                    effective_from="2025-01-01", image="anthropic:1568:1568", document="anthropic_pdf:1500:3000",
                    many_images=(20, 2000), most_pages=600, small_context=(200_000, 100), most_bytes=32_000_000,
                    tools="system:346:313", source="paper, its documentation",
                ),
            ),
        ),
        ModelFamily(
            names=("tiles/mosaic-1",),
            rules=(
                TokenRule(
                    effective_from="2025-01-01", image="openai_levels:1.2 low=512 high=65535 auto=high",
                    document="openai_pdf", tools="functions", source="tiles, its guide",
                ),
            ),
        ),
    )  # fmt: skip


def omni() -> tuple[Endpoint, ...]:
    """Hosted models that take more than images: everything, PDFs, and very large images."""
    some = (
        hosted(
            OMNI, "omni/all-1", "large", (0.3, 2.5), inputs=("text", "image", "audio", "video", "document"),
            context=1_000_000,
        ),
        hosted(PAPER, "paper/scribe-1", "large", (1.0, 5.0), inputs=("text", "image", "document"), context=200_000),
        hosted(TILES, "tiles/mosaic-1", "large", (1.25, 10.0), inputs=("text", "image", "document"), context=400_000),
        hosted(TILES, "tiles/grout-1", "large", (0.1, 0.2)),
    )  # fmt: skip
    said = Evidence(level="declared", source="their list")
    known = (
        ToolSupport(takes=True, with_json=False, evidence=said), ToolSupport(takes=True, evidence=said),
        ToolSupport(takes=True, evidence=said), ToolSupport(takes=False, evidence=said),
    )  # fmt: skip
    return tuple(msgspec.structs.replace(each, tools=tools) for each, tools in zip(some, known, strict=True))


def painters(*, quirks: tuple[str, ...] = ()) -> tuple[Endpoint, ...]:
    """Who draws: by tokens and quality, by the image with the words of diffusion, and in given shapes alone."""

    def painter(id_: str, where: Host, tier: Tier, price: Price, drawn: str, *, edits: bool = True) -> Endpoint:
        tasks: tuple[Task, ...] = ("text-to-image", "image-to-image") if edits else ("text-to-image",)
        inputs: tuple[Kind, ...] = ("text", "image") if edits else ("text",)
        return Endpoint(
            id=f"{where.id}:{id_}",
            model=Model(
                id=id_, tasks=tasks, input=inputs, output=("image",), context=8192, drawn=drawn,
                image_tokens="fixed:576" if edits else "",
                strength=tuple(strength(task, tier, "synthetic") for task in tasks),
            ),
            host=where,
            input=inputs,
            price=price,
            speed=Speed(overhead=between(0.2, 0.6, 2.0, "typical"), picture=between(2.0, 8.0, 30.0, "typical")),
        )  # fmt: skip

    etcher = host("etcher", quirks=("image_seed", "image_steps", "negative_prompt", "no_image_quality"))
    shapes = host("shapes", protocol="gemini", auth="x-goog-api-key")
    by_token = Price(input_mtok=5.0, output_mtok=10.0, input_image_mtok=10.0, output_image_mtok=40.0)
    return (
        painter("acme/brush", msgspec.structs.replace(ACME, quirks=quirks), "large", by_token, "table:gpt-image-1"),
        painter("etcher/dust", etcher, "medium", Price(picture=0.003), "", edits=False),
        painter("shapes/canvas", shapes, "large", Price(input_mtok=0.3, output_image_mtok=30.0), "each:1290"),
    )


def brush_here() -> tuple[Endpoint, ...]:
    """A diffusion model of this machine, as large as Stable Diffusion 1.5."""
    tasks: tuple[Task, ...] = ("text-to-image", "image-to-image")
    return (
        Endpoint(
            id="mine:acme/stable",
            model=Model(
                id="acme/stable", tasks=tasks, input=("text", "image"), output=("image",), parameters=860e6,
                image_tokens="latent",
                diffusion=DiffusionSettings(
                    side=512, unit=64, steps=20, guidance=7.0, buffers=(2_560.0, 6_656.0, 11_000.0)
                ),
                strength=tuple(strength(task, "medium", "synthetic") for task in tasks),
            ),
            host=msgspec.structs.replace(HERE, id="mine", protocol="diffusion"),
            input=("text", "image"),
            price=FREE,
            memory=between(2.4e9, 3.9e9, 5.2e9, "synthetic"),
            speed=Speed(
                overhead=between(0.1, 0.3, 2.0, "typical"), load=between(1.0, 3.0, 20.0, "typical"),
                denoise=between(7.0, 34.0, 140.0, "typical"), latent=between(8.0, 60.0, 300.0, "typical"),
            ),
        ),
    )  # fmt: skip


def apart() -> tuple[Endpoint, ...]:
    """The embedded models with the protocols of their runtimes, which say what each occupies of a machine."""
    protocols: dict[str, Protocol] = {
        "automatic-speech-recognition": "whisper", "image-to-text": "ocr", "feature-extraction": "e5",
    }  # fmt: skip
    return tuple(
        msgspec.structs.replace(
            each, host=msgspec.structs.replace(HERE, protocol=protocols.get(each.model.tasks[0], "llama"))
        )
        for each in embedded()
    )


SLICES = {
    "matching": lambda: (*embedded(), matcher()),
    "matching_desk": lambda: (*embedded(), matcher(), *desk()),
    "matching_measured": lambda: (*embedded(), matcher(tier="large"), *acme()),
    "matching_acme": lambda: (*embedded(), matcher(), *acme()),
    "runtimes": lambda: (*apart(), *desk()),
    "painters": lambda: (*embedded(), *acme(), *painters()),
    "painters with masks": lambda: painters(quirks=("image_mask",)),
    "painters here": lambda: (*painters(), *brush_here()),
    "omni": lambda: (*embedded(), *omni()),
    "voices": lambda: (*embedded(), *acme(), *voices()),
    "voiceless": lambda: embedded(),
    "embedded": lambda: embedded(),
    "unpulled": lambda: embedded(chat=False),
    "acme": lambda: (*embedded(), *acme()),
    "acme_unpulled": lambda: (*embedded(chat=False), *acme()),
    "translators": lambda: (translator(), *(each for each in embedded() if each.id != ear().id), *acme()),
    "desk": lambda: (*embedded(), *desk()),
    "all": lambda: (*embedded(), *acme(), *plain(), *desk()),
    "chat": lambda: (smollm2(), *desk(), *plain()),
    "thinkers": lambda: (*embedded(), *thinkers()),
    "twins": lambda: (*embedded(), *twins()),
}


def catalog(name: str, consent: tuple[str, ...] = ()) -> Catalog:
    """A slice by its name."""
    counting = families() if name == "omni" else ()
    return Catalog(endpoints=tuple(SLICES[name]()), consent=consent, version="2026-11-20", families=counting)


def many(count: int, seed: int = 7, hosts: int = 40, consented: int | None = None) -> Catalog:
    """A large catalog shaped like the real ones: few tiers, contexts and image rules, prices of all sizes."""
    rng = random.Random(seed)
    where = [host(f"host{i:02d}", forced_json=i % 2 == 0, max_images=(None, 20)[i % 2]) for i in range(hosts)]
    rules = (
        "openai_tile:85:170",
        "openai_patch:1536:2048:1.62",
        "anthropic:1568:1568",
        "gemini_tile:258",
        "qwen:28:12845056",
        "",
    )
    tiers: tuple[Tier, ...] = ("tiny", "small", "medium", "large", "frontier")
    found: list[Endpoint] = list(embedded())
    for i in range(count - len(found)):
        family = rng.randrange(len(rules))
        inputs: tuple[Kind, ...] = ("text",)
        if rng.random() < 0.45:
            inputs += ("image",)
            if rng.random() < 0.15:
                inputs += ("audio",)
            if rng.random() < 0.3:
                inputs += ("document",)
        price = round(10 ** rng.uniform(-1.5, 1.3), 3)
        found.append(
            hosted(
                where[i % hosts],
                f"vendor{family}/model-{i:04d}",
                rng.choices(tiers, (1, 2, 4, 3, 1))[0],
                (price, round(price * rng.choice((1, 3, 4, 5)), 3)),
                inputs=inputs,
                image_tokens=rules[family] if "image" in inputs else "",
                context=rng.choice((8_192, 32_768, 131_072, 200_000, 1_000_000)),
                tokenizer=("", "o200k", "cl100k")[family % 3],
                decode=rng.choice((30.0, 60.0, 120.0)),
            )
        )
    allowed = where if consented is None else where[:consented]
    return Catalog(endpoints=tuple(found), consent=tuple(h.id for h in allowed), version="2026-11-20")
