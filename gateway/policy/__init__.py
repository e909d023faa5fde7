"""Policies: one module for each file in policies/, of the same name. Data in, checked values out."""
