"""A RabbitMQ over its limits, refusing, or off for a while: F09 to F11."""

import time
from queue import Empty

from amqp.exceptions import AMQPError
from kombu import Connection

from tests.faults.programme.brokers import answers_in_time, queue_moves
from tests.faults.programme.declared import Stroke, fault
from tests.faults.programme.stage import Stage


@fault("F09", "RabbitMQ over its memory limit", small=1, full=10, needs=["rabbitmq"])
def rabbitmq_over_its_limit(stage: Stage, stroke: Stroke) -> None:
    """It blocks whoever publishes; no till waits for that."""
    system = stage.system("rabbitmq")
    assert stage.rabbitmq is not None
    with system.load():
        for _ in range(stroke.number):
            stage.rabbitmq.control("set_vm_memory_high_watermark", "0.0001")
            try:
                answers_in_time(system, stroke, 10)
                alarms = stage.rabbitmq.control("eval", "rabbit_alarm:get_alarms().")
                if "memory" in alarms:
                    stroke.hit()
                stroke.recovered(system.recovered(time.monotonic()))
            finally:
                stage.rabbitmq.control("set_vm_memory_high_watermark", "0.4")
            stroke.recovered(system.recovered(time.monotonic()))


@fault("F10", "RabbitMQ refuses a message as too long", small=1, full=5, needs=["rabbitmq"])
def message_too_long(stage: Stage, stroke: Stroke) -> None:
    """With a limit below any message, the sweep alone posts."""
    system = stage.system("rabbitmq")
    assert stage.rabbitmq is not None
    for _ in range(stroke.number):
        stage.rabbitmq.control("eval", "application:set_env(rabbit, max_message_size, 16).")
        try:
            try:
                with Connection(
                    stage.rabbitmq.url, transport_options={"confirm_publish": True}
                ) as broker:
                    broker.SimpleQueue("too-long").put("x" * 1000)
                    broker.SimpleQueue("too-long").get(timeout=2)
            except (AMQPError, OSError, Empty):
                stroke.hit()
            since = time.monotonic()
            system.sell(3)
            stroke.recovered(system.recovered(since))
        finally:
            stage.rabbitmq.control(
                "eval", "application:set_env(rabbit, max_message_size, 134217728)."
            )


@fault("F11", "RabbitMQ off for a while, and on again", small=1, full=2, needs=["rabbitmq"])
def rabbitmq_off_and_on(stage: Stage, stroke: Stroke) -> None:
    """Tills and postings go on without it; afterwards a message moves through it again."""
    system = stage.system("rabbitmq")
    assert stage.rabbitmq is not None
    for _ in range(stroke.number):
        with system.load():
            stage.rabbitmq.control("stop_app")
            began = time.monotonic()
            answers_in_time(system, stroke, 10)
            stroke.recovered(system.recovered(time.monotonic()))
            if stroke.full:
                system.pause(600 - (time.monotonic() - began))
            stroke.hit()
            stage.rabbitmq.control("start_app")
            stroke.recovered(system.recovered(time.monotonic()))
        moved_s = queue_moves(system)
        stroke.expect(moved_s is not None, "no message moves through RabbitMQ any more")
        if moved_s is not None:
            stroke.say(f"a message moved through the queue after {moved_s:.1f} s")
