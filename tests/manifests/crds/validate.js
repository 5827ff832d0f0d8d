// Validates objects of CRDs: reads a JSON array of them, prints what is wrong, a line each. An object whose schema is not there
// is an error, for it would not be validated at all. The argument is the folder that `npm ci` filled.
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";

const PACKAGES = {
  "monitoring.coreos.com": "prometheus-operator",
  "keda.sh": "keda",
  "gateway.networking.k8s.io": "gateway-api",
  "external-secrets.io": "external-secrets",
};
const models = resolve(process.argv[2], "node_modules/@kubernetes-models");

async function problem({ apiVersion, kind, ...rest }) {
  const [group, version] = apiVersion.split("/");
  try {
    const file = resolve(models, PACKAGES[group], group, version, `${kind}.js`);
    const { [kind]: Model } = await import(pathToFileURL(file).href);
    new Model({ ...rest }).validate();
  } catch (error) {
    return `${kind}/${rest.metadata.name}: ${error.message}`;
  }
}

const objects = JSON.parse(readFileSync(0, "utf8"));
const problems = (await Promise.all(objects.map(problem))).filter(Boolean);
console.log(problems.join("\n"));
process.exitCode = problems.length ? 1 : 0;
