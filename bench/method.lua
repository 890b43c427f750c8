-- wrk -s method.lua URL -- METHOD [BODY]: the same request every time, with another method than GET.
function init(args)
  wrk.method = args[1]
  wrk.body = args[2]
end
