"""Registers interested employees with o2o: the domain, without Airflow.

The modules in the order of a row's way: window, extract, checking (with quality), payloads, delivery, audit.
"""
