// Search from Node.js, with the protos and no generated code: node examples/node/search.js "red floral midi dress"
// First, in this folder: npm ci
import path from "node:path";
import grpc from "@grpc/grpc-js";
import protoLoader from "@grpc/proto-loader";

const ADDRESS = process.env.VITRINE_ADDRESS ?? "127.0.0.1:7700";
const PROTOS = path.resolve(import.meta.dirname ?? path.dirname(new URL(import.meta.url).pathname), "../..");
const DEADLINE_MS = 10_000;

const definition = protoLoader.loadSync("vitrine/v1/search.proto", {
  includeDirs: [PROTOS],
  keepCase: true, // the fields are called as in the .proto files
  enums: String,
  defaults: true,
});
const { SearchService } = grpc.loadPackageDefinition(definition).vitrine.v1;
const client = new SearchService(ADDRESS, grpc.credentials.createInsecure());

const words = process.argv.slice(2).join(" ") || "red floral midi dress";
client.Search({ text: words, limit: 5 }, { deadline: Date.now() + DEADLINE_MS }, (error, answer) => {
  client.close();
  if (error) {
    console.error(error.details);
    process.exitCode = 1;
    return;
  }
  for (const hit of answer.hits) {
    console.log(hit.score.toFixed(3), hit.product_id, hit.product.title);
  }
});
