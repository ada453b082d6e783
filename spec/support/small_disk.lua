-- A file system of a few MB that can be filled up. To be used in a fresh
-- process that "unshare -m" started: its mounts end with it, also when it is
-- killed. Needs root.

local process = require "process"

local small_disk = {}

---Whether this machine and user can have one.
---@return boolean
function small_disk.possible()
  local pid = assert(process.spawn({ "unshare", "-m", "true", stderr = "/dev/null" }))
  local how, code = process.wait(pid)
  return how == "exit" and code == 0
end

---Mounts one of 4 MiB on the folder.
---@param folder string
function small_disk.mount(folder) assert(process.mount_tmpfs(folder, 4 * 1024 * 1024)) end

---Takes all the room that is left.
---@param folder string
function small_disk.fill(folder)
  os.execute("dd if=/dev/zero of='" .. folder .. "/filler' bs=4096 2>/dev/null")
  local pipe = assert(io.popen("stat -f -c %a '" .. folder .. "'"))
  local blocks = pipe:read("*l")
  pipe:close()
  assert(blocks == "0", tostring(blocks) .. " blocks are left")
end

return small_disk
