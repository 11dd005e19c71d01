"""The steps of the chain: plain Python, never imports Airflow or Kubernetes."""
