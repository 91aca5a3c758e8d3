// A foreign Modbus TCP server of the npm registry with the units of values.py:
// node serve.js PACKAGE WORDS.json [PORT]. Prints its port; ends when its input does.
'use strict'
const [, , name, file, given] = process.argv
const words = JSON.parse(require('fs').readFileSync(file, 'utf8'))
const held = {}
for (const unit of Object.keys(words)) {
  held[unit] = { input: new Map(), holding: new Map() }
  for (const [table, address, word] of words[unit]) held[unit][table].set(address, word)
}
const ready = port => console.log(port)
process.stdin.on('end', () => process.exit(0)).resume()

if (name === 'modbus-serial') {
  const { ServerTCP } = require('modbus-serial')
  const get = table => (address, unit) => {
    const word = (held[unit] || held[1])[table].get(address)
    if (word === undefined) throw { modbusErrorCode: 2 } // eslint-disable-line no-throw-literal
    return word
  }
  const vector = { getInputRegister: get('input'), getHoldingRegister: get('holding') }
  const server = new ServerTCP(vector, { host: '127.0.0.1', port: Number(given || 0), unitID: 255 })
  server.on('initialized', () => ready(server._server.address().port))
} else {
  // jsmodbus has one set of registers, whichever unit is asked: unit 1's.
  const net = require('net')
  const modbus = require('jsmodbus')
  const socket = new net.Server()
  const buffers = { input: Buffer.alloc(2 * 65536), holding: Buffer.alloc(2 * 65536) }
  for (const table of ['input', 'holding']) {
    for (const [address, word] of held[1][table]) buffers[table].writeUInt16BE(word, 2 * address)
  }
  new modbus.server.TCP(socket, buffers) // eslint-disable-line no-new
  socket.listen(Number(given || 0), '127.0.0.1', () => ready(socket.address().port))
}
