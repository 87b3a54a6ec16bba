import io.trino.Session;
import io.trino.plugin.hive.HivePlugin;
import io.trino.testing.DistributedQueryRunner;
import io.trino.testing.TestingSession;
import java.util.Map;

/** A Trino server of one node, with the catalog `hive` over a folder of files. Arguments: the folder, the port. */
public class Trino {
    public static void main(String[] arguments) throws Exception {
        Session session = TestingSession.testSessionBuilder().setCatalog("hive").setSchema("billing").build();
        DistributedQueryRunner server = DistributedQueryRunner.builder(session)
                .setWorkerCount(0)
                .addExtraProperty("http-server.http.port", arguments[1])
                .addExtraProperty("query.max-memory-per-node", "800MB")
                .build();
        server.installPlugin(new HivePlugin());
        server.createCatalog("hive", "hive", Map.of(
                "hive.metastore", "file",
                "hive.metastore.catalog.dir", "local:///metastore",
                "fs.local.enabled", "true",
                "local.location", arguments[0],
                "hive.non-managed-table-writes-enabled", "true",
                "hive.parquet.time-zone", "UTC"));
        System.out.println("ready at " + server.getCoordinator().getBaseUrl());
        Thread.currentThread().join();
    }
}
