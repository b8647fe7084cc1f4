"""The only room that knows MLflow: it reads tracking stores and never writes to one."""
