// Rows a second that ajv holds against the schema of their template: parsed line by line,
// each as a row. Arguments: the schema, the rows.
const fs = require("fs");
const readline = require("readline");
const Ajv = require("ajv/dist/2020");

async function main() {
  const schema = JSON.parse(fs.readFileSync(process.argv[2], "utf8"));
  const validate = new Ajv({ allowUnionTypes: true }).compile(schema);
  const lines = readline.createInterface({ input: fs.createReadStream(process.argv[3]) });
  const began = process.hrtime.bigint();
  let rows = 0;
  for await (const line of lines) {
    if (!validate(JSON.parse(line))) {
      throw new Error("a row is not valid");
    }
    rows += 1;
  }
  console.log(rows / (Number(process.hrtime.bigint() - began) / 1e9));
}

main();
