// @tus/server with its file store, as its documentation sets it up: node server.mjs FOLDER
import { FileStore } from '@tus/file-store'
import { Server } from '@tus/server'

const server = new Server({ path: '/uploads', datastore: new FileStore({ directory: process.argv[2] }) })
const listening = server.listen({ host: '127.0.0.1', port: 0 }, () => {
  console.log(`listening on http://127.0.0.1:${listening.address().port}`)
})
