// A foreign Modbus TCP server of the npm registry with the units of values.py:
// node serve.js PACKAGE WORDS.json [PORT]. Prints its port; ends when its input does.
'use strict'
const [, , name, file, given] = process.argv
const words = JSON.parse(require('fs').readFileSync(file, 'utf8'))
const net = require('net')
const ready = port => console.log(port)
process.stdin.on('end', () => process.exit(0)).resume()

if (name === 'modbus-serial') {
  const { ServerTCP } = require('modbus-serial')
  const held = new Map()
  for (const unit of Object.keys(words)) {
    for (const [table, address, word] of words[unit]) held.set(`${unit} ${table} ${address}`, word)
  }
  const get = table => (address, unit) => {
    const word = held.get(`${unit} ${table} ${address}`)
    if (word === undefined) throw { modbusErrorCode: 2 } // eslint-disable-line no-throw-literal
    return word
  }
  const vector = { getInputRegister: get('input'), getHoldingRegister: get('holding') }
  const serve = port => {
    const server = new ServerTCP(vector, { host: '127.0.0.1', port, unitID: 255 })
    server.on('initialized', () => ready(port))
    server.on('serverError', error => { throw error }) // it would stay, and listen nowhere
  }
  const wanted = Number(given || 0)
  if (wanted) serve(wanted)
  else { // it takes 0 for its usual port, 502
    const probe = net.createServer().listen(0, '127.0.0.1', () => {
      const { port } = probe.address()
      probe.close(() => serve(port))
    })
  }
} else {
  // jsmodbus has one set of registers for all units. It says who is asked just before it looks.
  const modbus = require('jsmodbus')
  const none = Buffer.alloc(2 * 65536)
  const held = {}
  for (const unit of Object.keys(words)) {
    held[unit] = { input: Buffer.alloc(2 * 65536), holding: Buffer.alloc(2 * 65536) }
    for (const [table, address, word] of words[unit]) held[unit][table].writeUInt16BE(word, 2 * address)
  }
  class Units extends modbus.server.TCP {
    get input () { return held[this.unit] ? held[this.unit].input : none }
    get holding () { return held[this.unit] ? held[this.unit].holding : none }
  }
  const socket = new net.Server()
  const server = new Units(socket, {})
  const asked = request => { server.unit = request.unitId }
  server.on('preReadInputRegisters', asked)
  server.on('preReadHoldingRegisters', asked)
  socket.listen(Number(given || 0), '127.0.0.1', () => ready(socket.address().port))
}
