"""The only room that imports ray: stages as Ray Data pipelines and Ray Train runs, rows as Ray Tune trials."""
