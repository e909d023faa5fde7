"""The way of a call, on one screen: READ THIS FIRST.

    identify -> receive -> envelope -> plan -> admit -> dispatch -> relay -> settle

Each stage is one function in `gateway.stages`; it returns a value or raises a GatewayError, and no
stage calls another: only this file chains them. Whatever happens, the call is settled once: finished,
turned away, broken in the middle, or left by its client.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from time import monotonic

from gateway.errors import Bug, ClientError, ClientGone, GatewayError, ShuttingDown
from gateway.exchange import Arrival, Call, Moment, Record, Reply
from gateway.formats.envelope import decode_body, decode_envelope
from gateway.formats.errors.reply import error_reply
from gateway.formats.request.output_limit import check_amounts, check_crowd
from gateway.routing.decisions import decision_header
from gateway.routing.plans import Considered, Plan
from gateway.runtime import Runtime
from gateway.stages.admit import admit
from gateway.stages.dispatch import dispatch
from gateway.stages.identify import identify
from gateway.stages.plan import make_plan
from gateway.stages.receive import receive
from gateway.stages.relay import relay
from gateway.stages.settle import settle


async def serve(arrival: Arrival, runtime: Runtime) -> None:
    """Take one call all the way: answer the client, then settle. Never raises but for cancellation."""
    record = Record(arrival.call_id, arrival.format, monotonic())
    record.trace = runtime.head.begin(arrival.call_id, arrival.headers)
    end = partial(settle, record, runtime.books)
    try:
        reply = await _answer(arrival, runtime, record)
        reply.ending = end
        await arrival.deliver(reply)
    except GatewayError as error:
        await _refuse(arrival, record, error, end)
    except asyncio.CancelledError:
        await _interrupted(arrival, record, end)
    except Exception as error:  # noqa: BLE001 - a defect of ours must end one call, not the worker
        runtime.books.report(error, record)
        bug = Bug(f"internal error; quote the request id {record.call_id}")
        await _refuse(arrival, record, bug, end)
    finally:
        end()


async def _answer(arrival: Arrival, runtime: Runtime, record: Record) -> Reply:
    caller = await identify(arrival.headers, runtime.identity, arrival.peer)
    record.tenant, record.key, record.class_ = caller.tenant, caller.key, caller.class_
    body = await receive(arrival, runtime.intake)
    record.received_s = monotonic()
    check_crowd(body)
    members, form = decode_body(body, arrival)
    envelope = decode_envelope(members)
    record.model, record.stream = envelope.model, envelope.stream
    call = record.call = Call(arrival.format, caller, envelope, members, arrival.headers, form)
    check_amounts(call)
    if runtime.classifier is not None:
        call = await runtime.classifier.label(call, record)
    plan = _planned(call, runtime, record)
    if (admitted := await admit(plan, record, runtime.entrance)) is not call:  # a limit changed it
        call, way = admitted, plan.route.name
        plan = _planned(call, runtime, record)
        if record.lease is not None and plan.route.name != way:
            record.lease.cancel()
            record.lease = None
        if record.lease is None:  # it goes another way, where other limits may hold
            call = await admit(plan, record, runtime.entrance)
    record.admitted_s = monotonic()
    outcome = await dispatch(call, plan, record)
    if plan.way.shadow is not None:
        runtime.shadows.cast(call, plan, record)
    return relay(outcome, record, arrival.flight)


def _planned(call: Call, runtime: Runtime, record: Record) -> Plan:
    plan = make_plan(call, runtime.routing, Moment.now())
    record.route, record.rule, record.plan = plan.route.name, plan.rule, plan
    record.planned_s = monotonic()
    return plan


async def _interrupted(arrival: Arrival, record: Record, end: Callable[[], None]) -> None:
    if arrival.flight.reason == "shutdown":
        stopping = ShuttingDown("the gateway is shutting down", retry_after_s=1)
        await _refuse(arrival, record, stopping, end)
        return
    if record.ending != "finished":
        record.error, record.ending = record.error or ClientGone("the client left"), "client_gone"
    record.status = record.status or ClientGone.status
    if not arrival.flight.reason:  # cancelled by nobody we know: not ours to swallow
        raise asyncio.CancelledError


async def _refuse(arrival: Arrival, record: Record, error: GatewayError, end: Callable[[], None]) -> None:
    if record.is_settled:  # its answer was whole, and stands in the books: it only did not get to the client
        return
    record.error = error
    if isinstance(why := error.considered, Considered):
        record.route, record.rule = why.route.name, why.rule
    if record.ending == "broken":  # its beginning went to the client: the server cuts the line
        return
    record.ending = (
        "bug" if isinstance(error, Bug) else "refused" if isinstance(error, ClientError) else "failed"
    )
    record.status = error.status
    reply = error_reply(error, record.call_id, record.format)
    reply.headers.extend(decision_header(arrival.headers, record))
    reply.ending = end
    await arrival.deliver(reply)
