"""Devices: each gets every message that is meant for it once, in order, whether it was there or not."""

from tidings.features.devices.delivery import DeviceOptions, Devices

__all__ = ["DeviceOptions", "Devices"]
