// sdk.cjs - the unmodified @shadow-drive/sdk against the tests' Shadow Drive: it makes an account, uploads, replaces, lists,
// deletes, and is refused; and reads and deletes what dvesp put there.
// usage: NODE_PATH=... node sdk.cjs '{"rpc", "drive", "wallet", "account", "object", "sha256"}'     prints {"account", "name"}
"use strict";
const assert = require("node:assert");
const crypto = require("node:crypto");
const path = require("node:path");

const given = JSON.parse(process.argv[2]);
const dist = path.dirname(require.resolve("@shadow-drive/sdk"));
require(path.join(dist, "utils", "common.js")).SHDW_DRIVE_ENDPOINT = given.drive; // a constant that the package exports
const { ShdwDrive } = require("@shadow-drive/sdk");
const anchor = require(require.resolve("@coral-xyz/anchor", { paths: [dist] }));
const { web3 } = anchor;

const connection = new web3.Connection(given.rpc, "confirmed");
const driveOf = (keypair) => new ShdwDrive(connection, new anchor.Wallet(keypair)).init();
const bytesAt = async (url) => Buffer.from(await (await fetch(url)).arrayBuffer());

async function itsOwnFiles(drive) {
    const made = await drive.createStorageAccount("dvesp", "10MB");
    const account = new web3.PublicKey(made.shdw_bucket);
    const info = await drive.getStorageAccountInfo(account);
    assert.equal(info.reserved_bytes, 10 * 1024 * 1024);
    assert.equal(info.owner1, drive.wallet.publicKey.toBase58());

    const data = crypto.randomBytes(300_000);
    const uploaded = await drive.uploadFile(account, { name: "seg 0001.bin", file: data });
    assert.deepEqual(uploaded.upload_errors, []);
    assert((await bytesAt(uploaded.finalized_locations[0])).equals(data));
    assert.equal((await drive.uploadFile(account, { name: "seg 0001.bin", file: data })).upload_errors.length, 1);
    const replaced = crypto.randomBytes(1000);
    assert.deepEqual((await drive.editFile(account, { name: "seg 0001.bin", file: replaced })).upload_errors, []);
    assert((await bytesAt(uploaded.finalized_locations[0])).equals(replaced));

    const many = Array.from({ length: 12 }, (_, index) => ({ name: `f${index}.bin`, file: crypto.randomBytes(50 + index) }));
    const results = await drive.uploadMultipleFiles(account, many, 3);
    assert.equal(results.filter((each) => each.status === "Uploaded.").length, 12);
    assert.equal((await drive.listObjects(account)).keys.length, 13);
    await drive.deleteFile(account, uploaded.finalized_locations[0]);
    assert.equal((await drive.listObjects(account)).keys.length, 12);

    const stranger = await driveOf(web3.Keypair.generate());
    await assert.rejects(stranger.uploadFile(account, { name: "x", file: Buffer.from("x") }), /403/);
    const tooMuch = await drive.uploadFile(account, { name: "big", file: Buffer.alloc(11 * 1024 * 1024) });
    assert.match(tooMuch.upload_errors[0].error, /Not enough storage/);
    return account;
}

/** What dvesp put is there for the SDK, and goes; what the SDK leaves, dvesp looks for. */
async function oursAndTheirs(drive) {
    const account = new web3.PublicKey(given.account);
    const location = `${given.drive}/${given.account}/${given.object}`;
    assert((await drive.listObjects(account)).keys.includes(given.object));
    assert.equal(crypto.createHash("sha256").update(await bytesAt(location)).digest("hex"), given.sha256);
    await drive.deleteFile(account, location);
    const left = crypto.randomBytes(70_000);
    const name = crypto.createHash("sha256").update(left).digest("hex");
    await drive.uploadFile(account, { name: `${name}.dvseg`, file: left });
    return name;
}

async function main() {
    const keypair = web3.Keypair.fromSeed(Buffer.from(given.wallet, "hex"));
    await connection.requestAirdrop(keypair.publicKey, 1e9);
    const drive = await driveOf(keypair);
    const account = await itsOwnFiles(drive);
    const name = await oursAndTheirs(drive);
    console.log(JSON.stringify({ account: account.toBase58(), name }));
}

main().then(() => process.exit(0), (error) => {
    console.error(error);
    process.exit(1);
});
