"""Devices: each gets every message that is meant for it once, in order, whether it was there or not."""

from tidings.features.devices.delivery import DeviceOptions, Devices
from tidings.features.devices.progress import RESOURCE
from tidings.features.devices.waiting import count_waiting

__all__ = ["RESOURCE", "DeviceOptions", "Devices", "count_waiting"]
