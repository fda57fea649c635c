/** A second extension beside the one under test, through which a story runs code in the extension host, as another extension would. */
import { randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { strToU8, zipSync } from 'fflate';
import type * as vscode from 'vscode';
import { until } from './workbench.ts';

const manifest = {
  name: 'driver', publisher: 'auto-compress-test', version: '0.0.1', engines: { vscode: '^1.100.0' }, main: './main.js', activationEvents: ['onStartupFinished'],
  extensionDependencies: ['auto-compress.auto-compress'],
};

/** Runs what is posted to it, and answers with its result; where it listens stands in a file. */
const main = (addressFile: string, secret: string) => `
const vscode = require('vscode');
const AsyncFunction = (async () => undefined).constructor;
exports.activate = () => {
  const server = require('http').createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request) body += chunk;
    if (request.headers['x-secret'] !== ${JSON.stringify(secret)}) { response.writeHead(403).end(); return; }
    const { script, argument } = JSON.parse(body);
    try { response.end(JSON.stringify({ value: await new AsyncFunction('vscode', 'argument', 'return (' + script + ')(vscode, argument)')(vscode, argument) })); }
    catch (error) { response.end(JSON.stringify({ error: String(error?.message ?? error) })); }
  });
  server.requestTimeout = 0;
  server.listen(0, '127.0.0.1', () => require('fs').writeFileSync(${JSON.stringify(addressFile)}, 'http://127.0.0.1:' + server.address().port));
};`;

export class Driver {
  readonly vsix: string;
  private readonly addressFile: string;
  private readonly secret: string;

  private constructor(folder: string, secret: string) {
    this.vsix = join(folder, 'driver.vsix');
    this.addressFile = join(folder, 'driver-address');
    this.secret = secret;
  }

  /** Writes the extension's package into a folder. */
  static async create(folder: string): Promise<Driver> {
    const driver = new Driver(folder, randomBytes(16).toString('hex'));
    await writeFile(driver.vsix, zipSync({ 'extension/package.json': strToU8(JSON.stringify(manifest)), 'extension/main.js': strToU8(main(driver.addressFile, driver.secret)) }));
    return driver;
  }

  /** Runs a function in the extension host. It sees nothing but its arguments, which cross as JSON, as does its result. */
  async run<T, A = undefined>(script: (api: typeof vscode, argument: A) => PromiseLike<T> | T, argument?: A): Promise<T> {
    const address = await until('the driver in the extension host', () => readFile(this.addressFile, 'utf8'));
    const answer = JSON.parse(await post(address, this.secret, JSON.stringify({ script: script.toString(), argument }))) as { value?: T; error?: string };
    if (answer.error !== undefined) throw new Error(answer.error);
    return answer.value as T;
  }
}

/** Posts and waits however long it takes (fetch gives up after five minutes). */
const post = (address: string, secret: string, body: string) => new Promise<string>((resolve, reject) => {
  request(address, { method: 'POST', headers: { 'x-secret': secret } }, (response) => { text(response).then(resolve, reject); }).on('error', reject).end(body);
});
