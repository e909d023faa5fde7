"""What every wire format is translated through: one set of types, so that n formats need n codecs.

Only translated calls meet these types; a call that stays in its format is relayed as bytes.
"""
