-- Folders and files for specs: made on demand, read and damaged byte by byte,
-- all removed again by clean(). Knows files, and of a store no more than where to damage it.

local process = require "process"

local store_file = {}

local folders = {}

---A new empty folder that clean() removes.
---@return string path
function store_file.folder()
  local path = assert(process.mkdtemp())
  folders[#folders + 1] = path
  return path
end

---The path of a store file that does not exist yet, in a folder of its own.
---@return string path
function store_file.path() return store_file.folder() .. "/jobs.store" end

---Removes all folders made here: for after_each.
function store_file.clean()
  for index = #folders, 1, -1 do
    os.execute("rm -rf '" .. folders[index] .. "'")
    folders[index] = nil
  end
end

---@param path string
---@return string bytes
function store_file.read(path)
  local file = assert(io.open(path, "rb"))
  local bytes = assert(file:read("*a"))
  file:close()
  return bytes
end

---Makes the file anew.
---@param path string
---@param bytes string
function store_file.write(path, bytes)
  local file = assert(io.open(path, "wb"))
  assert(file:write(bytes))
  assert(file:close())
end

---Overwrites bytes inside the file, which stays the same file.
---@param path string
---@param offset integer of the first byte, from 0
---@param bytes string
function store_file.patch(path, offset, bytes)
  local file = assert(io.open(path, "r+b"))
  assert(file:seek("set", offset))
  assert(file:write(bytes))
  assert(file:close())
end

---Where 'text' stands in 'bytes': offsets from 0.
---@param bytes string
---@param text string
---@return integer[]
function store_file.offsets(bytes, text)
  local found, from = {}, 1
  while true do
    local at = bytes:find(text, from, true)
    if not at then return found end
    found[#found + 1] = at - 1
    from = at + 1
  end
end

---Makes what a store file says of the job unreadable: the shape of each record that has the
---id and no result, error, meta or reason (record.h).
---@param path string
---@param id string
function store_file.damage_record(path, id)
  local offsets = store_file.offsets(store_file.read(path), id)
  assert(#offsets > 0, "no record of " .. id)
  for _, offset in ipairs(offsets) do store_file.patch(path, offset - 7 * 8, ("\255"):rep(8)) end
end

---What 'stat -c format' says about the path.
---@param format string
---@param path string
---@return string
function store_file.stat(format, path)
  local pipe = assert(io.popen("stat -c '" .. format .. "' '" .. path .. "' 2>&1"))
  local text = pipe:read("*l")
  pipe:close()
  return text
end

---@param path string
---@return boolean
function store_file.exists(path)
  local file = io.open(path, "rb")
  if file then file:close() end
  return file ~= nil
end

return store_file
