"""The project on one machine, without Docker: an HR warehouse with demo people, a stand-in for o2o, Airflow.

`python -m demo run` starts it; `stack` has the order in which things start, `people` what HR looks like.
"""
