"""A Spark Connect server on this machine, with a table billing.NAME for each FOLDER/NAME/; arguments: FOLDER PORT."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

from pyspark.sql import SparkSession

if __name__ == "__main__":
    folder, port = Path(sys.argv[1]), sys.argv[2]
    spark = (
        SparkSession.builder.master("local[2]")
        .config("spark.plugins", "org.apache.spark.sql.connect.SparkConnectPlugin")
        .config("spark.connect.grpc.binding.port", port)
        .config("spark.sql.warehouse.dir", str(folder / "warehouse"))
        .config("spark.driver.memory", "3g")
        .config("spark.ui.enabled", "false")
        .getOrCreate()
    )
    spark.sql("CREATE DATABASE IF NOT EXISTS billing")
    for table in sorted(path for path in folder.iterdir() if any(path.glob("*.parquet"))):
        spark.sql(f"CREATE TABLE billing.{table.name} USING parquet LOCATION '{table}'")
    print("ready", flush=True)
    threading.Event().wait()
