"""The codec of a plugin's protocol: two functions of its module, as the codecs of ``protocols/`` are called.

What a plugin raises is an error of the call that names its package, so that a run takes another route.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, get_args

from intermodal.catalog.plugin_rows import load_protocol, protocol_plugins
from intermodal.catalog.types import Host, Protocol
from intermodal.errors import CallError, IntermodalError, NotInstalled
from intermodal.plugin_registry import Plugin
from intermodal.protocols.calls import ChatCall, EncodedRequest, Error, Finish, WireEvent, WireUsage
from intermodal.protocols.framing.ndjson import NdjsonReader
from intermodal.protocols.framing.sse import SseReader
from intermodal.protocols.reply_decoder import ReplyDecoder

_EVENTS = get_args(WireEvent)


class PluginCodec:
    """Speaks chat through a plugin (``drivers.codecs.ChatCodec``)."""

    def __init__(self, plugin: Plugin, module: Any) -> None:
        self.plugin = plugin
        self.framing = getattr(module, "FRAMING", "sse")
        self.read_event = module.read_event
        self.IMAGE_TYPES: frozenset[str] = frozenset(getattr(module, "IMAGE_TYPES", ()))
        self._encode_request = module.encode_request

    def encode_request(self, call: ChatCall, host: Host) -> EncodedRequest:
        """Return the call in bytes. Raises NotExpressible, and CallError where the plugin fails."""
        try:
            made = self._encode_request(call, host)
        except IntermodalError:
            raise
        except Exception as error:
            raise self.failure(f"failed to write the request ({type(error).__name__})", sent=False) from error
        if not isinstance(made, EncodedRequest):
            raise self.failure(f"wrote {type(made).__name__}, not an EncodedRequest", sent=False)
        return made

    def Decoder(self, endpoint: str = "", *, headers: Mapping[str, str] | None = None) -> ReplyDecoder:
        """Return a decoder of one reply."""
        return _PluginDecoder(self, endpoint, headers=headers)

    def failure(self, what: str, *, where: str = "", sent: bool = True) -> CallError:
        """Return the error of a call at which the plugin failed."""
        return CallError(f"the plugin {self.plugin.title} {what}", where=where, todo=self.plugin.removal, sent=sent)


class _PluginDecoder(ReplyDecoder):
    """Passes each event of a reply to the plugin, and takes usage and the finish reason out of what it returns."""

    def __init__(self, codec: PluginCodec, endpoint: str, *, headers: Mapping[str, str] | None) -> None:
        self._codec = codec
        super().__init__(endpoint, headers=headers)

    def _lines(self) -> SseReader | NdjsonReader:
        return NdjsonReader() if self._codec.framing == "ndjson" else SseReader()

    def _read_event(self, tree: Mapping[str, Any], name: str) -> None:
        try:
            found = list(self._codec.read_event(tree))
        except CallError as error:
            error.where = error.where or self._endpoint
            self._end(Error(error=error))
            return
        except Exception as error:
            self._give_up(f"cannot read the reply ({type(error).__name__})")
            return
        for event in found:
            if isinstance(event, WireUsage):
                self._usage = event
            elif isinstance(event, Finish):
                self.complete, self._reason = True, event.reason
            elif isinstance(event, Error):
                self._end(event)
                return
            elif isinstance(event, _EVENTS):
                self._out.append(event)
            else:
                self._give_up(f"read {type(event).__name__}, which is no event of a reply")
                return

    def _give_up(self, what: str) -> None:
        self._out_usage()
        self._end(Error(error=self._codec.failure(what, where=self._endpoint)))


@cache
def plugin_codec(protocol: Protocol) -> PluginCodec:
    """Return the codec of a plugin's protocol. Raises NotInstalled."""
    plugin = protocol_plugins().get(protocol)
    if plugin is None:
        raise NotInstalled(f"no plugin speaks the protocol {protocol}", todo="install the package that does")
    return PluginCodec(plugin, load_protocol(protocol))
