"""What was sent becomes an order for a run, or is refused field by field before anybody is dialled."""

from __future__ import annotations

import asyncio
import base64
import binascii
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath, PureWindowsPath

from concierge_calls import plan, providers, routing
from concierge_calls.api.bodies import BatchBody, FileBody, ProviderBody, Wanted
from concierge_calls.api.problems import Fault, bad_request
from concierge_calls.api.service import Service
from concierge_calls.draft import API, Order, rows_of
from concierge_calls.errors import ConciergeError, SettingsError, UsageError
from concierge_calls.journal import Owner, RequestKey
from concierge_calls.models import SKIPPED_ON_PURPOSE, Provider, Reason
from concierge_calls.phone import checked_region
from concierge_calls.providers import ProvidersFile, Row
from concierge_calls.settings.loading import Settings

_SETTINGS = ("call_timeout", "analysis_timeout", "via", "region", "record")
_FIELDS = {"no_name": "name", "no_service": "serviceNeeded"}  # the others are the phone's
_NO_SERVICE = "What should the providers be asked for? Name it; only an assistant of the user's own needs no service."


@dataclass(frozen=True, slots=True)
class Names:
    """How a body names its providers, for a fault."""

    field: str = "providers[{}].{}"

    def of(self, index: int, field: str) -> str:
        """Return the field of the provider with this index."""
        return self.field.format(index, field)


class One(Names):
    """How a body names its only provider."""

    def of(self, index: int, field: str) -> str:
        """Return the field of that one."""
        return f"provider{field.capitalize()}"


async def order_for(
    service: Service, body: Wanted, asked: Sequence[ProviderBody], names: Names, request: RequestKey | None
) -> tuple[Order, Settings]:
    """Return the order and the settings of a run for these providers; raises Problem with every fault of the body."""
    settings = _settings(service, body, names)
    typed = _typed(body)
    rows = list(rows_of(_provider(each) for each in asked))
    faults = await asyncio.to_thread(lambda: list(_unusable(rows, typed, settings, names)))
    if faults:
        raise bad_request(faults)
    return _order(service, body, rows, API, request), settings


def order_for_file(
    service: Service, body: FileBody, *, request: RequestKey | None = None, dry_run: bool = False
) -> tuple[ProvidersFile, Order, Settings]:
    """Return the file, the order and the settings of a run for a providers file.

    Raises Problem for a body that is wrong, ProvidersFileError for a file that cannot be used as a whole.
    """
    settings = _settings(service, body, Names())
    try:
        content = base64.b64decode(body.content_base64, validate=True)
    except (binascii.Error, ValueError):
        raise bad_request([Fault(field="contentBase64", reason="This is not Base64.")]) from None
    name = PurePosixPath(PureWindowsPath(body.file_name).name).name
    if name in ("", "-", ".", ".."):
        raise bad_request([Fault(field="fileName", reason="This is no file's name.")])
    file = providers.read(name, map_=body.map, stdin=io.BytesIO(content))
    if settings.assistant_id is None and "service" not in file.fields and body.service_needed is None:
        raise bad_request([Fault(field="serviceNeeded", reason=_NO_SERVICE)])
    return file, _order(service, body, file, name, request, mapped=tuple(body.map), dry_run=dry_run), settings


def _order(
    service: Service,
    body: Wanted,
    rows: Iterable[Row],
    source: str,
    request: RequestKey | None,
    *,
    mapped: Sequence[str] = (),
    dry_run: bool = False,
) -> Order:
    return Order(
        rows=rows,
        source=source,
        typed=_typed(body),
        mapped=mapped,
        via_typed=body.via is not None,
        simulate=service.simulated,
        dry_run=dry_run,
        allow_redial=body.allow_redial,
        owner=Owner.API,
        request=request,
    )


def _typed(body: Wanted) -> dict[str, str]:
    return {name: value for name, field in plan.REQUEST_FIELDS.items() if (value := getattr(body, field)) is not None}


def _settings(service: Service, body: Wanted, names: Names) -> Settings:
    most = service.settings.max_concurrent
    faults = [*_wrong_route(service, body), *_wrong_region(body)]
    wanted = getattr(body, "max_concurrent", None)
    if wanted is not None and wanted > most:
        faults.append(
            Fault(field="maxConcurrent", reason=f"Must be at most {most}, which is all that this server has.")
        )
    is_list = isinstance(body, BatchBody) or isinstance(names, One)
    if is_list and service.settings.assistant_id is None and body.service_needed is None:
        faults.append(Fault(field="serviceNeeded", reason=_NO_SERVICE))
    if faults:
        raise bad_request(faults)
    told = {name: value for name in _SETTINGS if (value := getattr(body, name)) is not None}
    return service.settings.model_copy(update=told | {"max_concurrent": wanted or most})


def _wrong_route(service: Service, body: Wanted) -> Iterator[Fault]:
    try:
        if body.via is not None:
            enabled = service.settings.kestra_enabled
            routing.decide(body.via, typed=True, simulate=service.simulated, enabled=enabled)
        if body.via == "kestra":
            service.settings.kestra_needed()
    except (UsageError, SettingsError) as error:
        yield Fault(field="via", reason=error.message)


def _wrong_region(body: Wanted) -> Iterator[Fault]:
    try:
        if body.region is not None:
            checked_region(body.region)
    except ConciergeError as error:
        yield Fault(field="region", reason=error.message)


def _provider(body: ProviderBody) -> Provider:
    return Provider(name=body.name, phone=None, phone_given=body.phone, id=body.id, extension=body.extension)


def _unusable(rows: Iterable[Row], typed: dict[str, str], settings: Settings, names: Names) -> Iterator[Fault]:
    planned = plan.make(rows, source=API, typed=typed, region=settings.region, needs_service=False)
    for asked in planned:
        if asked.skip is not None and asked.skip.code not in SKIPPED_ON_PURPOSE:
            field = _FIELDS.get(asked.skip.code, "phone")
            yield Fault(field=names.of(asked.index, field), reason=_reason(asked.skip))


def _reason(skip: Reason) -> str:
    return skip.message.split(": ", 1)[-1]  # the place is said by the field
