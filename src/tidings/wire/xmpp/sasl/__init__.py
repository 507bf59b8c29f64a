"""SASL mechanisms as small machines over bytes, in both roles."""
