"""The stack without containers: S3, MLflow, Airflow and a site to crawl, as processes of this machine."""
