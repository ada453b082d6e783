-- Commands of the shell, for specs about what people type.

local shell = {}

---What a command prints, and its exit status.
---@param command string
---@return string output
---@return integer status
function shell.run(command)
  local pipe = assert(io.popen("{ " .. command .. "; } 2>&1; echo \"exit $?\""))
  local output = pipe:read("*a")
  pipe:close()
  local text, status = output:match("^(.-)exit (%d+)\n$")
  return text, tonumber(status)
end

return shell
