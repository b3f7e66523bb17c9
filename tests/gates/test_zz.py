from tests.gates.test_request_cost import *
def test_p(gateway):
    for n in (1000,1500,2000):
        cost=gateway.settled(grown(CHATS[0],("pictures",n))); print("COST",n,cost)
    print("COST w", gateway.cost(grown([d for d in CHATS if 'messages' in d.path][0],('tools',1),('parts',90),('wide_letters',700),('long_fraction',700))))
    assert 0
